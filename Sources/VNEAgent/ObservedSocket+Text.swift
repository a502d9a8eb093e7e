import PolicyModel

extension ObservedSocket {
    /// Whether it has a peer that it can still send to: neither listening, nor closed, nor waiting out its time.
    var isConnected: Bool {
        switch transport {
        case .tcp: ![6, 7, 10].contains(state)
        case .udp, .ping: state == 1
        }
    }

    /// Whether it was made as an IPv6 socket (`AF_INET6`), also if it speaks IPv4.
    var isOfIPv6: Bool { family == 10 }

    /// Whether it waits for TCP connections.
    var isListening: Bool { transport == .tcp && state == 10 }

    /// The kernel's name of the state, in lower case.
    var stateName: String {
        guard transport == .tcp else { return state == 1 ? "connected" : "open" }
        return switch state {
        case 1: "established"
        case 2: "syn-sent"
        case 3, 12: "syn-received"
        case 4: "fin-wait-1"
        case 5: "fin-wait-2"
        case 6: "time-wait"
        case 7: "closed"
        case 8: "close-wait"
        case 9: "last-ack"
        case 10: "listening"
        case 11: "closing"
        default: "state \(state)"
        }
    }

    /// `tcp 10.0.0.1:80 -> 10.0.0.2:4000`, `udp [fd00::1]:53`.
    var summary: String {
        let end = { (address: IPAddress?, port: UInt16) in address?.with(port: port) ?? "-" }
        let own = "\(transport.rawValue) \(end(local, localPort))"
        return isConnected ? "\(own) -> \(end(remote, remotePort))" : own
    }
}

extension ForeignSocket {
    /// `nginx (812) holds descriptor 7: tcp 0.0.0.0:80`.
    var description: String { "\(command) (\(process)) holds descriptor \(self.descriptor): \(summary)" }
}
