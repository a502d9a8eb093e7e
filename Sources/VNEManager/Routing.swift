internal import VNEHost

/// BIRD, in a network's namespace.
struct Routing {
    let place: NetworkPlace

    private var configuration: String { "\(place.running)/bird.conf" }
    static let socketFile = "bird.ctl"
    private var socket: String { "\(place.running)/\(Self.socketFile)" }
    private var number: String { "\(place.running)/bird.pid" }

    /// The process, if it runs.
    var process: EngineProcess? { EngineProcess(recordedIn: number, program: "bird", of: place) }

    /// Has BIRD run on a configuration. It goes on with what it had where only the rest changed.
    func reconcile(_ text: String) async throws(ManagerError) {
        let told = "\(place.applied)/bird.conf"
        let isRunning = process != nil
        if isRunning, try NodeFiles.text(told) == text { return }
        try NodeFiles.write(text, to: configuration)
        if isRunning {
            let answer = try await control(["configure"])
            guard answer.contains("Reconfigur") else {
                throw ManagerError(.failed, "BIRD does not take its configuration: \(answer)")
            }
            // It speaks to everybody again then. One that is no neighbour any more is none to be told of.
            for (neighbour, link) in Probing(place: place).report.links where link.isUnused {
                _ = try? await control(["disable", neighbour])
            }
        } else {
            // One that died left its routes to the kernel, and its neighbours keep theirs for a moment: nothing that is
            // forwarded has to notice (RFC 4724).
            let recovery = try NodeFiles.text(told) == nil ? [] : ["-R"]
            try await Program(
                EngineProcess.marked(place) + ["nice", "-n", "-10", "bird", "-c", configuration, "-s", socket]
                    + ["-P", number] + recovery
            ).inside(namespace: place.label).run()
            // It goes on before the process that was started has left its number.
            for _ in 0..<500 where process == nil { try await Program.pause() }
            guard process != nil else { throw ManagerError(.failed, "BIRD ended at once: see the system's log") }
        }
        try NodeFiles.write(text, to: told)
    }

    /// Begins anew with neighbours whose BIRD is just coming back: what is kept of them meanwhile is not judged again.
    func forgetReturning(_ neighbours: [String]) async throws(ManagerError) {
        for neighbour in neighbours {
            let shown = try await control(["show", "protocols", "all", neighbour])
            if shown.contains("graceful restart active") { _ = try await control(["restart", neighbour]) }
        }
    }

    /// Asks the BIRD that runs something, as birdc(8) does by the same socket; returns what birdc would print.
    func control(_ arguments: [String]) async throws(ManagerError) -> String {
        let (path, command) = (socket, arguments.joined(separator: " "))
        let answer = try await waiting { () throws(HostError) in
            let socket = try CommandSocket(path)
            let end = EngineEvents.now + Self.patience
            // It says something when it is connected to, too.
            _ = try Self.answer(from: socket, until: end)
            try socket.write(command)
            return try Self.answer(from: socket, until: end)
        }
        guard answer.code < 8000 else { throw ManagerError(.failed, "BIRD does not take “\(command)”: \(answer.text)") }
        return answer.text
    }

    /// BIRD answers at once; one that stands still is not waited for.
    private static let patience = Duration.seconds(5)

    /// Lines of an answer begin with a number of four digits and a sign, which is a space in the last one, or with a space if
    /// the number is that of the line before.
    private static func answer(
        from socket: CommandSocket, until end: Duration
    ) throws(HostError) -> (code: Int, text: String) {
        var lines: [Substring] = []
        while true {
            try socket.wait(until: end)
            for line in try socket.lines() {
                guard let code = Int(line.prefix(4)), line.first != " " else {
                    lines.append(line.dropFirst())
                    continue
                }
                lines.append(line.dropFirst(5))
                if line.dropFirst(4).first == " " { return (code, lines.joined(separator: "\n")) }
            }
        }
    }
}
