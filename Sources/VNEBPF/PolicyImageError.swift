/// A policy that does not fit the tables of ``PolicyImage``.
public struct PolicyImageError: Error, Hashable, Sendable {
    /// The policy file's name.
    public var source: String
    /// The line that asks for too much, where one does.
    public var line: Int?
    /// What does not fit.
    public var problem: Problem

    /// What does not fit.
    public enum Problem: Hashable, Sendable {
        /// The port ranges of one permitted pair, or of one remote address, come to more rules than the kernel reads.
        case rules(count: Int, most: Int)
        /// A permit to an environment that the policy does not have.
        case unknownEnvironment(String)
        /// Two environments of one name.
        case duplicateEnvironment(String)
        /// A name of more bytes than the kernel's records have.
        case longName(String, most: Int)
        /// More interfaces than the header holds.
        case interfaces(count: Int, most: Int)
        /// More shared loopback services than the header holds.
        case sharedServices(count: Int, most: Int)
        /// An image of more pages than this version builds.
        case pages(most: Int)
    }
}

extension PolicyImageError: CustomStringConvertible {
    /// One line, with the file's name and line in the style of compilers.
    public var description: String {
        let place = line.map { "\(source):\($0): " } ?? (source.isEmpty ? "" : "\(source): ")
        return place + problemText
    }

    private var problemText: String {
        switch problem {
        case .rules(let count, let most):
            "the ports come to \(count) ranges where they are merged, and the kernel reads at most \(most)"
        case .unknownEnvironment(let name): "no environment is named “\(name)”"
        case .duplicateEnvironment(let name): "two environments are named “\(name)”"
        case .longName(let name, let most): "the name “\(name)” has more than \(most) bytes"
        case .interfaces(let count, let most): "\(count) interfaces are named, at most \(most) can be"
        case .sharedServices(let count, let most): "\(count) loopback services are shared, at most \(most) can be"
        case .pages(let most): "the addresses are spread over more than \(most) pages of 1 KiB"
        }
    }
}
