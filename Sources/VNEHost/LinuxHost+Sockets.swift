public import PolicyModel

internal import CLinux
internal import Glibc

/// Sockets, by `inet_diag` and `/proc`.
extension LinuxHost {
    /// The TCP and UDP sockets of the instance's namespace, listeners and closing ones included.
    ///
    /// One that was neither bound nor connected is not among them: the kernel keeps it in no table.
    public func sockets() throws(HostError) -> [ObservedSocket] {
        try diagnostics().sockets()
    }

    /// Closes a socket with ECONNABORTED (`SOCK_DESTROY`); nothing if it is gone. Throws where the kernel cannot.
    ///
    /// A datagram socket gets the error once and loses its peer, so that what it sends next is judged anew; one that its
    /// process bound to a port stays bound.
    public func destroy(_ socket: ObservedSocket) throws(HostError) {
        try diagnostics().destroy(socket)
    }

    /// Why no socket can be closed on this host; nil where they can be.
    public func obstacleToClosing() throws(HostError) -> String? {
        try diagnostics().obstacleToClosing()
    }

    /// Sockets that processes in the cgroup or below it hold although they were made in a cgroup outside it.
    ///
    /// Named too are those that cannot be attributed: raw and packet sockets, TCP and UDP sockets that were neither bound
    /// nor connected yet, and sockets of other network namespaces. Not seen are sockets in flight over a Unix socket,
    /// registered with io_uring, or in a descriptor table that only a thread other than the first has.
    public func foreignSockets(of path: String) throws(HostError) -> [ForeignSocket] {
        let inside = try cgroupIDs(below: path)
        let processes = try processes(below: path)
        let known = Dictionary(try sockets().map { ($0.inode, $0) }, uniquingKeysWith: { first, _ in first })
        var foreign: [ForeignSocket] = []
        for id in processes {
            let process = ProcessEntry(id: id)
            var inspector: ForeignDescriptors?
            for descriptor in try process.sockets() {
                var summary: String?
                if let socket = known[descriptor.inode] {
                    if socket.cgroupID == 0 {
                        summary = "\(socket.summary), of a cgroup that the kernel does not tell"
                    } else if !inside.contains(socket.cgroupID) {
                        summary = socket.summary
                    }
                } else {
                    if inspector == nil { inspector = ForeignDescriptors(process: id) }
                    summary = inspector?.summary(of: descriptor.number)
                }
                guard let summary else { continue }
                foreign.append(
                    ForeignSocket(
                        process: id, command: process.command ?? "", descriptor: descriptor.number, summary: summary,
                        socket: known[descriptor.inode]))
            }
        }
        return foreign
    }
}
