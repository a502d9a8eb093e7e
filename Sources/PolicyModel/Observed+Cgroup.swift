/// A cgroup that is held open.
public struct OpenCgroup: Hashable, Sendable {
    /// Relative to the cgroup2 mount, without a leading slash.
    public var path: String
    /// Inode number of its directory.
    public var id: UInt64
    /// Depth below the root.
    public var level: UInt32
    /// A file descriptor of its directory.
    public var descriptor: Int32

    /// A cgroup from what is known of it; the descriptor stays the caller's to close.
    public init(path: String, id: UInt64, level: UInt32, descriptor: Int32) {
        self.path = path
        self.id = id
        self.level = level
        self.descriptor = descriptor
    }
}

/// A socket that was made outside the cgroup whose process holds it: the isolator does not cover it.
public struct ForeignSocket: Hashable, Sendable {
    /// Id of the process.
    public var process: UInt32
    /// Its name, from `/proc/PID/comm`; whatever the program chose.
    public var command: String
    /// The descriptor in that process.
    public var descriptor: Int32
    /// `tcp 10.0.0.1:80 -> 10.0.0.2:4000`, or what kind of socket it is.
    public var summary: String
    /// The socket itself, where the kernel lists it.
    public var socket: ObservedSocket?

    /// A socket from what is known of it.
    public init(
        process: UInt32, command: String, descriptor: Int32, summary: String, socket: ObservedSocket? = nil
    ) {
        self.process = process
        self.command = command
        self.descriptor = descriptor
        self.summary = summary
        self.socket = socket
    }
}
