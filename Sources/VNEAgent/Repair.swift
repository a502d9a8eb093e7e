/// Something that a killed command, or the end of a program, left and that the next command put right.
public struct Repair: Hashable, Sendable, Codable {
    /// What was found.
    public enum Finding: String, Hashable, Sendable, Codable {
        /// It was being attached; now it is.
        case halfAttached
        /// It was being detached; now it is gone.
        case halfDetached
        /// Its cgroup was removed; now its attachment is too.
        case cgroupGone
        /// `exec` was killed and all its processes ended; now its cgroup and attachment are gone.
        case launcherGone
        /// Its address had been taken off the interface; now it is back.
        case addressMissing
        /// It is denied everything, or lacks an address, until another host lets go of that: ``Repair/problem`` says which.
        case contested
        /// It could not be put right: ``Repair/problem`` says why. What is half done denies everything.
        case failed
    }
    /// The application's name.
    public var application: String
    /// What was found.
    public var finding: Finding
    /// Why it was not put right.
    public var problem: String?

    /// A repair from its parts.
    public init(_ application: String, _ finding: Finding, problem: String? = nil) {
        self.application = application
        self.finding = finding
        self.problem = problem
    }
}

extension Repair: CustomStringConvertible {
    /// One sentence without a full stop.
    public var description: String {
        switch finding {
        case .halfAttached: "finished attaching \(application), which an earlier command had begun"
        case .halfDetached: "finished detaching \(application), which an earlier command had begun"
        case .cgroupGone: "detached \(application): its cgroup is gone"
        case .launcherGone: "cleared \(application): the exec that made it is gone and its cgroup is empty"
        case .addressMissing: "gave \(application) its address back, which was missing from the interface"
        case .contested: "\(application) waits: \(problem ?? "its address is another host's")"
        case .failed: "could not repair \(application): \(problem ?? "no reason given")"
        }
    }
}
