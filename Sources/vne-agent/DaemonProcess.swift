import PolicyModel
import VNEAgent
import VNEBPF
import VNEHost

/// What `vne-agent run` gives its daemon: the host's events, the instance, the service manager and the log.
final class DaemonProcess: DaemonSurroundings {
    private let path: String
    private let instance: InstanceOptions
    private let events: HostEvents
    private let requests: RequestSocket
    private let server: TextServer?
    private let manager = ServiceManager.own
    private let logsToJournal = ServiceManager.logsToJournal
    private let pins: PinKeeper
    /// No second daemon works on the instance while this value lives.
    private let lock: RunLock

    init(policy path: String, instance: InstanceOptions, metrics: TextPlace?) throws {
        self.path = path
        self.instance = instance
        lock = try RunLock(.daemon, instance: instance.instance)
        requests = try RequestSocket(instance: instance.instance)
        server = try metrics.map { try TextServer(at: $0) }
        events = try HostEvents(requests: requests, server: server)
        pins = try PinKeeper(instance: instance.instance)
    }

    var now: Duration { HostEvents.now }

    var watchdogInterval: Duration? { manager.watchdogInterval }

    var policySource: String { path }

    var dependencies: HostDependencies { HostDependencies(resolvConf: instance.resolvConf) }

    func readPolicy() throws -> String { try PolicyText(reading: path).text }

    func withAgent<Answer>(_ body: (Agent) throws -> Answer) throws -> Answer {
        let restored = try pins.restore()
        for pin in restored { log(.warning, "put back \(pin), which somebody had removed") }
        let session = try Session(instance, .create)
        defer { withExtendedLifetime(session) {} }
        try pins.hold()
        if restored.isEmpty {
            try session.loaded?.steerNewInterfaces()
        } else {
            try session.loaded?.steerIfUsed()
        }
        return try body(session.agent)
    }

    func watch(cgroups: Set<String>) throws -> Bool {
        try events.listen(file: path, cgroups: cgroups, directories: pins.directories)
    }

    func wait(until time: Duration) throws -> Set<DaemonEvent> {
        // What a look at everything took is of no use until the next one.
        OwnMemory.giveBack()
        while true {
            let heard = try events.wait(until: time)
            if heard.contains(.clients) { server?.serve { try MetricsCommand.text(instance) } }
            // Clients alone are no matter of the daemon's.
            if heard != [.clients] || now >= time { return Self.daemonEvents(heard) }
        }
    }

    private static func daemonEvents(_ heard: Set<HostEvents.Event>) -> Set<DaemonEvent> {
        Set(
            heard.compactMap { event in
                switch event {
                case .clients: nil
                case .file: .policyFile
                case .cgroups: .cgroups
                case .directories: .pins
                case .addresses: .addresses
                case .request(let request): .asked(application: request.text, by: request.sender)
                case .reload: .reload
                case .stop: .stop
                }
            })
    }

    func answer(_ answer: String?, to asker: String) { requests.answer(answer ?? "", to: asker) }

    func tell(_ state: DaemonState) {
        do {
            switch state {
            case .reloading:
                try manager.notify("RELOADING=1", "MONOTONIC_USEC=\(ServiceManager.monotonicMicroseconds)")
            case .ready: try manager.notify("READY=1")
            case .alive: try manager.notify("WATCHDOG=1")
            case .stopping: try manager.notify("STOPPING=1")
            case .status(let sentence): try manager.notify("STATUS=\(sentence)")
            }
        } catch {
            log(.warning, "cannot tell the service manager: \(error)")
        }
    }

    func log(_ priority: LogPriority, _ message: String, about subject: LogSubject) {
        let text = message.printable
        if logsToJournal, (try? JournalSocket().write(fields(priority, text, subject))) != nil { return }
        // The journal takes the number off; people have no use for it.
        Console.error((logsToJournal ? "<\(priority.rawValue)>" : "vne-agent: ") + text)
    }

    private func fields(
        _ priority: LogPriority, _ text: String, _ subject: LogSubject
    ) -> [(name: String, value: String)] {
        var fields = [
            (name: "MESSAGE", value: text), (name: "PRIORITY", value: "\(priority.rawValue)"),
            (name: "SYSLOG_IDENTIFIER", value: "vne-agent"), (name: "VNE_INSTANCE", value: instance.instance),
        ]
        if let application = subject.application { fields.append((name: "VNE_APPLICATION", value: application)) }
        if let generation = subject.generation { fields.append((name: "VNE_GENERATION", value: "\(generation)")) }
        return fields
    }
}
