public import PolicyModel

/// A flow of an application, as the kernel has it now.
public struct LiveFlow: Hashable, Sendable, Codable {
    /// Where it is kept.
    public enum Record: String, Hashable, Sendable, Codable {
        /// A socket.
        case socket
        /// An entry of the application's flow table: answers to it are let through.
        case datagrams
    }
    /// The application's name.
    public var application: String
    /// Where it is kept.
    public var record: Record
    /// Nil for an entry of the flow table, which holds UDP and ping alike.
    public var transport: TransportProtocol?
    /// The kernel's word for a socket's state; who began for an entry of the flow table.
    public var state: String
    /// The true address, also on the application's own loopback: 127.1.0.1 where the program says 127.0.0.1.
    public var local: IPAddress?
    /// Host byte order.
    public var localPort: UInt16
    /// Nil where there is no peer.
    public var remote: IPAddress?
    /// Host byte order.
    public var remotePort: UInt16
    /// The application at the other end, if it is one of this host.
    public var peer: String?
    /// What the policy says of it; nil where there is nothing to judge.
    public var allowed: Bool?
    /// The reason's word.
    public var reason: String?
    /// The line of the policy file that decides.
    public var line: Int?
    /// Milliseconds since an entry of the flow table was last refreshed, about.
    public var idle: UInt32?
}

extension [LiveFlow] {
    /// A row for each.
    public var table: Table {
        Table(
            ["APPLICATION", "PROTO", "STATE", "LOCAL", "REMOTE", "PEER", "VERDICT", "REASON"],
            rows: map { flow in
                [
                    flow.application, flow.transport?.rawValue ?? "udp", flow.state,
                    flow.local?.with(port: flow.localPort) ?? "-", flow.remote?.with(port: flow.remotePort) ?? "-",
                    flow.peer ?? "-",
                    flow.allowed.map { $0 ? "allow" : "deny" } ?? "-", flow.reason ?? "-",
                ]
            })
    }
}

/// A denial as `flows` shows it.
public struct DenialRecord: Hashable, Sendable, Codable {
    /// Nanoseconds of CLOCK_MONOTONIC.
    public var time: UInt64
    /// The application's name; the cgroup's id where it is not attached any more.
    public var application: String
    /// Its environment; nil where it is not attached any more.
    public var environment: String?
    /// The hook's word.
    public var hook: String
    /// The reason's word.
    public var reason: String
    /// The policy file and the line of it that denied, where a line did: often no line allows.
    public var file: String?
    /// The line.
    public var line: Int?
    /// Whether audit mode let it through.
    public var audited: Bool
    /// `tcp`, or the number of the protocol.
    public var transport: String
    /// The peer; nil where there is none.
    public var remote: IPAddress?
    /// Host byte order.
    public var remotePort: UInt16
    /// The application at the other end, if it is one of this host.
    public var peer: String?
    /// The application's address of the peer's family; nil where it has none.
    public var local: IPAddress?
    /// Host byte order.
    public var localPort: UInt16
    /// The calling process; nil in the packet hooks.
    public var process: UInt32?
    /// Its name.
    public var command: String?
}

extension DenialRecord: CustomStringConvertible {
    /// One line: `12.345678 web connect denied tcp 10.10.2.1:0 -> 10.10.3.1:80 (db): other-environment (curl, 812)`.
    public var description: String {
        let microseconds = "\(time / 1_000 % 1_000_000)"
        let fraction = String(repeating: "0", count: 6 - microseconds.count) + microseconds
        let end = { (address: IPAddress?, port: UInt16) in address?.with(port: port) ?? "-" }
        let other = end(remote, remotePort) + (peer.map { " (\($0))" } ?? "")
        let rule = file.flatMap { file in line.map { " \(file.printable):\($0)" } } ?? ""
        let caller = process.map { " (\(command?.printable ?? "?"), \($0))" } ?? ""
        let isArriving = hook == Hook.ingress.name
        let arrow = isArriving ? "<-" : "->"
        return "\(time / 1_000_000_000).\(fraction) \(application) \(hook) \(audited ? "audited" : "denied") "
            + "\(transport) \(end(local, localPort)) \(arrow) \(other): \(reason)\(rule)\(caller)"
    }
}
