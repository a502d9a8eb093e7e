/// What has to be done so that the kernel does what a policy says: the outcome of comparing the two, as a value.
///
/// ``make(current:desired:attached:cgroupsPresent:)`` computes it, `apply --dry-run` prints it, and the agent carries
/// it out in order. One thing a plan never does is to detach a cgroup that the desired policy names: its processes would
/// run free until it was attached anew. Where a name or an address has to change hands that way, the newcomer waits.
public struct Plan: Hashable, Sendable {
    /// In the order in which they are to be done: publish, unguard, detach, move, guard, attach, egress; then what only is
    /// to be told.
    public var changes: [Change]

    /// A plan from its changes.
    public init(changes: [Change] = []) {
        self.changes = changes
    }

    /// Whether nothing has to be done. There may still be something to tell.
    public var isEmpty: Bool { !changes.contains { $0.acts } }

    /// Whether a live flow may lose what allowed it.
    public var revokes: Bool {
        changes.contains { change in
            switch change {
            case .publish(_, _, _, let revokes): revokes
            case .move(_, let from, let to): from.environment != to.environment || from.addresses != to.addresses
            default: false
            }
        }
    }
}

/// One step of a plan, or one thing that it has to tell.
public enum Change: Hashable, Sendable {
    /// Publish the desired policy. The names are those of environments that are new, gone, or say something else; all
    /// three are empty where only lines, the address space or the applications differ.
    case publish(added: [String], removed: [String], changed: [String], revokes: Bool)
    /// Take the hooks of an application away.
    case detach(String, reason: Detachment)
    /// Take an attached application to another environment, address or hostname, without opening it in between.
    case move(String, from: Placement, to: Placement)
    /// Attach an application of the policy to its cgroup, which is there.
    case attach(Application)
    /// Attach or detach the egress hook of an attached application.
    case setEgress(String, on: Bool)
    /// Guard a cgroup that is no application.
    case protect(String)
    /// Take the guard off a cgroup.
    case unprotect(String, reason: Unprotection)
    /// To tell: a cgroup that is to be guarded and is not, and why.
    case unprotected(String, for: GuardObstacle)
    /// To tell: an application of the policy that is not as the policy says, and what it waits for.
    case waiting(String, for: Obstacle)
    /// To tell: an attached application that the desired policy leaves without a place; everything is denied to it.
    case stranded(String, reason: Stranding)

    /// Whether it changes anything, rather than telling something.
    public var acts: Bool {
        switch self {
        case .publish, .detach, .move, .attach, .setEgress, .protect, .unprotect: true
        case .waiting, .stranded, .unprotected: false
        }
    }
}

extension Change {
    /// Where an application has its place.
    public struct Placement: Hashable, Sendable {
        /// The environment's name.
        public var environment: String
        /// The application addresses; nil for those that are to be chosen.
        public var addresses: ApplicationAddresses?
        /// Its hostname, if it has one.
        public var hostname: String?
        /// Whether the policy file names the application, rather than a command only.
        public var fromPolicy: Bool

        /// A placement from its parts.
        public init(
            environment: String, addresses: ApplicationAddresses?, hostname: String? = nil, fromPolicy: Bool = true
        ) {
            self.environment = environment
            self.addresses = addresses
            self.hostname = hostname
            self.fromPolicy = fromPolicy
        }
    }

    /// Why an application is detached.
    public enum Detachment: Hashable, Sendable {
        /// The policy named it, and does no longer.
        case dropped
        /// The policy names another cgroup for it, which no longer is this one.
        case moved(to: String)
        /// Its cgroup is gone.
        case cgroupGone
    }

    /// What an application of the policy waits for.
    public enum Obstacle: Hashable, Sendable {
        /// Its cgroup is not there yet.
        case cgroup(String)
        /// One of its addresses is held by another attached application.
        case address(IPAddress, holder: String)
        /// Its cgroup is attached under another name.
        case cgroupAttached(String, holder: String)
        /// Its name is taken by an application that is attached to another cgroup and stays there.
        case name(cgroup: String)
        /// Its environment requires what does not hold here.
        case protections([Protection], environment: String)
    }

    /// Why the guard is taken off a cgroup.
    public enum Unprotection: Hashable, Sendable {
        /// The policy no longer names it.
        case dropped
        /// It is gone.
        case cgroupGone
    }

    /// Why a cgroup is not guarded.
    public enum GuardObstacle: Hashable, Sendable {
        /// It is not there yet.
        case cgroup
        /// It is, or lies in, the cgroup of an attached application.
        case application(String)
    }

    /// Why everything is denied to an attached application.
    public enum Stranding: Hashable, Sendable {
        /// The policy has no environment of this name.
        case environmentGone(String)
        /// The environment no longer holds an address of the application.
        case addressOutside(IPAddress, environment: String)
    }
}

extension Plan: CustomStringConvertible {
    /// One change a line.
    public var description: String {
        changes.isEmpty ? "nothing to change" : changes.map(\.description).joined(separator: "\n")
    }
}

extension Change: CustomStringConvertible {
    /// One line: `+` adds, `-` takes away, `~` changes, `!` tells.
    public var description: String {
        switch self {
        case .publish(let added, let removed, let changed, let revokes):
            let parts = [Self.list("new", added), Self.list("gone", removed), Self.list("changed", changed)]
                .compactMap { $0 }
            let what = parts.isEmpty ? "no environment differs" : parts.joined(separator: "; ")
            return "~ publish the policy (\(what))" + (revokes ? ", and cut flows that it forbids" : "")
        case .detach(let name, .dropped):
            return "- detach \(name): the policy no longer names it"
        case .detach(let name, .moved(let cgroup)):
            return "- detach \(name): its cgroup is \(cgroup) now"
        case .detach(let name, .cgroupGone):
            return "- detach \(name): its cgroup is gone"
        case .move(let name, let from, let to):
            return "~ move \(name) from \(from) to \(to)"
        case .attach(let application):
            let address = application.addresses.map(\.description) ?? Self.chosen
            let cgroup = application.cgroup.map { " (\($0))" } ?? ""
            return "+ attach \(application.name) to \(application.environment) as \(address)\(cgroup)"
        case .setEgress(let name, let on):
            return on ? "~ judge \(name) at egress too" : "~ judge \(name) at egress no longer"
        case .protect(let path): return "+ guard \(Self.name(ofGuarded: path))"
        case .unprotect(let path, .dropped):
            return "- guard \(Self.name(ofGuarded: path)) no longer: the policy does not name it"
        case .unprotect(let path, .cgroupGone):
            return "- guard \(Self.name(ofGuarded: path)) no longer: the cgroup is gone"
        case .unprotected(let path, .cgroup):
            return "! \(path) is not guarded: there is no such cgroup yet"
        case .unprotected(let path, .application(let name)):
            return "! \(path) is not guarded: it belongs to the application \(name)"
        case .waiting(let name, .cgroup(let path)):
            return "! \(name) waits: its cgroup \(path) is not there yet"
        case .waiting(let name, .address(let address, let holder)):
            return "! \(name) waits: its address \(address) is held by \(holder)"
        case .waiting(let name, .cgroupAttached(let path, let holder)):
            return "! \(name) waits: its cgroup \(path) is attached as \(holder), which has to be detached by hand"
        case .waiting(let name, .name(let path)):
            return "! \(name) waits: its name belongs to what is attached to \(path), which has to be detached by hand"
        case .waiting(let name, .protections(let missing, let environment)):
            let verb = missing.count == 1 ? "does" : "do"
            return "! \(name) waits: its environment \(environment) requires \(Protection.list(missing)), "
                + "which \(verb) not hold"
        case .stranded(let name, .environmentGone(let environment)):
            return "! \(name) is stranded: there is no environment \(environment), so everything is denied to it"
        case .stranded(let name, .addressOutside(let address, let environment)):
            return "! \(name) is stranded: \(address) is no longer in \(environment), so everything is denied to it"
        }
    }

    private static func name(ofGuarded path: String) -> String {
        path == HostGuard.root ? "the whole host (/)" : path
    }

    /// What an address that is to be chosen is called.
    fileprivate static let chosen = "an address of its own"

    /// `2 new: a, b`, with at most five names; nil for none.
    private static func list(_ word: String, _ names: [String]) -> String? {
        guard !names.isEmpty else { return nil }
        let shown = names.prefix(5).joined(separator: ", ")
        return "\(names.count) \(word): \(shown)" + (names.count > 5 ? ", …" : "")
    }
}

extension Change.Placement: CustomStringConvertible {
    /// `shop as 10.10.2.1, web.shop`.
    public var description: String {
        let address = addresses.map(\.description) ?? Change.chosen
        return "\(environment) as \(address)" + (hostname.map { ", \($0)" } ?? "") + (fromPolicy ? "" : ", by hand")
    }
}
