/// Who began the flows that were denied. A record has two ends, and only that of a connect says which end it was.
struct FlowBeginnings {
    /// A flow as a rule sees it.
    private struct Flow: Hashable {
        var transport: TransportProtocol?
        var client: IPAddress?
        var server: IPAddress?
        var port: UInt16
    }

    private struct End: Hashable {
        var address: IPAddress?
        var port: UInt16
    }

    /// Both ends of a flow, whichever of them recorded it.
    private struct Ends: Hashable {
        var transport: TransportProtocol?
        var ends: Set<End>

        init(_ denial: RecordedDenial) {
            transport = denial.transport
            ends = [
                End(address: denial.local, port: denial.localPort),
                End(address: denial.remote, port: denial.remotePort),
            ]
        }
    }

    private var connected: Set<Flow> = []
    /// The end that was called, where neither a connect nor the ports tell: by the first record.
    private var called: [Ends: End] = [:]

    /// Looks through denials in the order of their records.
    init(_ denials: [RecordedDenial]) {
        for denial in denials where denial.hook == .connect {
            connected.insert(Self.outgoing(denial))
        }
        for denial in denials where beganByRecord(denial) == nil {
            let ends = Ends(denial)
            guard called[ends] == nil else { continue }
            let end =
                denial.hook == .ingress
                ? End(address: denial.local, port: denial.localPort)
                : End(address: denial.remote, port: denial.remotePort)
            called[ends] = end
        }
    }

    /// Whether the application whose denial it is began the flow; else its peer did.
    func isOwn(_ denial: RecordedDenial) -> Bool {
        if let own = beganByRecord(denial) { return own }
        return called[Ends(denial)] == End(address: denial.remote, port: denial.remotePort)
    }

    /// The same, as far as connects and ports tell.
    private func beganByRecord(_ denial: RecordedDenial) -> Bool? {
        // No socket of an application hears another's echo requests.
        if denial.hook == .connect || denial.transport == .ping { return true }
        if connected.contains(Self.outgoing(denial)) { return true }
        let incoming = Flow(
            transport: denial.transport, client: denial.remote, server: denial.local, port: denial.localPort)
        if connected.contains(incoming) { return false }
        // A client's port, which the tally leaves out.
        if denial.localPort == 0 { return true }
        if denial.remotePort == 0 { return false }
        return nil
    }

    private static func outgoing(_ denial: RecordedDenial) -> Flow {
        Flow(transport: denial.transport, client: denial.local, server: denial.remote, port: denial.remotePort)
    }
}
