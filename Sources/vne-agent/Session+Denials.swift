import PolicyModel
import VNEAgent
import VNEBPF
import VNEHost

extension Session {
    /// The denials that wait in the ring buffer; none if the instance is not loaded.
    func recentDenials() throws -> [Denial] {
        var denials: [Denial] = []
        try loaded?.denials { denials.append($0) }
        return denials
    }

    /// Opens the ring buffer, and lets go of the instance's lock: what follows goes on for long.
    static func openDenials(_ options: InstanceOptions) throws -> DenialStream {
        guard let loaded = try Session(options, .show).loaded else { throw notLoaded(options) }
        return try loaded.denialStream()
    }

    /// The error of a command that has nothing to look at.
    static func notLoaded(_ options: InstanceOptions) -> AgentError {
        AgentError(
            .notFound, "the instance \(options.instance) is not loaded",
            hint: "publish a policy: vne-agent apply POLICY.yaml")
    }

    /// Hands denials over as they happen, until a signal, or the end of whoever reads the output, ends it. The instance's
    /// lock is held only to look names up.
    static func follow(_ options: InstanceOptions, _ body: ([DenialRecord]) throws -> Void) throws {
        let events = try CommandEvents()
        var stream = try openDenials(options)
        var reader = DenialReader()
        while true {
            switch try events.wait(reading: stream.descriptor, until: HostEvents.now + .seconds(5)) {
            case .stop: return
            case .resized: break
            case .time:
                guard try Session(options, .show).loaded?.denialStreamID() == stream.id else {
                    throw AgentError(.notFound, "the instance \(options.instance) was unloaded")
                }
            case .readable:
                var denials: [Denial] = []
                try stream.poll(milliseconds: 0) { denials.append($0) }
                try body(try reader.records(of: denials, by: try Session(options, .show).agent))
            }
        }
    }

    /// An agent that looks at the host as any user may, and at the kernel where it may.
    static func unprivileged(_ options: InstanceOptions) throws -> Agent {
        if isRoot { return try Session(options, .show).agent }
        let host = options.host
        let unseeing = UnloadedInstance { throw AgentError(.unsupported, "only root may ask the kernel") }
        return Agent(instance: options.instance, dataplane: unseeing, host: host)
    }

    /// Detaches everything and unloads the instance; says what was detached.
    static func unload(_ options: InstanceOptions) throws -> [String] {
        if let process = RunLock.holder(.daemon, instance: options.instance) {
            throw AgentError(
                .conflict,
                "the daemon of the instance \(options.instance) runs and would load it again (process \(process))",
                hint: "stop it first: systemctl stop vne-agent, or kill \(process)")
        }
        let session: Session
        do {
            session = try Session(options, .change)
        } catch BPFError.incompatible, BPFError.incomplete {
            // Another build's maps: nothing in them can be trusted, the hooks can be taken away all the same.
            guard try Instance.unload(options.instance) else { return [] }
            let agent = Agent(instance: options.instance, dataplane: UnloadedInstance(), host: options.host)
            let warning = "its maps could not be read: application addresses may be left on the interface"
            Console.report(repairs: [], warnings: [warning] + agent.forget())
            return []
        }
        guard let loaded = session.loaded else {
            throw AgentError(.notFound, "the instance \(options.instance) is not loaded")
        }
        let detached = try session.agent.detachAll().map(\.name).sorted()
        try loaded.unload()
        Console.report(repairs: [], warnings: session.agent.forget())
        return detached
    }
}
