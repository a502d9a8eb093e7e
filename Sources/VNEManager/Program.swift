internal import Subprocess
internal import SystemPackage

/// A program of the system that does a part of the work: `ip`, `wg`, `bird` and their like.
struct Program {
    private var arguments: [String]
    /// The package that has it, for messages.
    private static let packages = [
        "ip": "iproute2", "nft": "nftables", "wg": "wireguard-tools", "bird": "bird2", "birdc": "bird2",
        "wireguard-go": "wireguard-go", "nsenter": "util-linux", "unshare": "util-linux", "setsid": "util-linux",
        "sysctl": "procps", "etcd": "etcd-server", "etcdctl": "etcd-client", "timeout": "coreutils",
        "systemd-creds": "systemd",
    ]

    init(_ arguments: [String]) {
        self.arguments = arguments
    }

    /// The same program in the network namespace of a name, as `ip netns add` makes them, with all else as it is here.
    func inside(namespace name: String) -> Program {
        Program(["nsenter", "--net=\(NetworkPlace.namespaces)/\(name)"] + arguments)
    }

    /// The same program, known for one of a network's from its first instruction on.
    func marked(_ place: NetworkPlace) -> Program { Program(EngineProcess.marked(place) + arguments) }

    /// Runs it to its end, and returns what it printed.
    @discardableResult func run(input text: String = "") async throws(ManagerError) -> String {
        let ended = try await finish(input: text)
        guard ended.status == 0 else { throw failure("ended with \(ended.status)", ended.error) }
        return ended.output
    }

    /// Whether it ends well.
    func succeeds(input text: String = "") async throws(ManagerError) -> Bool {
        try await finish(input: text).status == 0
    }

    /// How it ended: its status, or a signal's number less 256.
    func finish(
        input text: String = ""
    ) async throws(ManagerError) -> (status: Int, output: String, error: String) {
        guard let command = arguments.first else { return (0, "", "") }
        let path = try self.path(of: command)
        do {
            let result = try await Subprocess.run(
                .path(path), arguments: Arguments(Array(arguments.dropFirst())), input: .string(text),
                output: .string(limit: 1 << 26), error: .string(limit: 1 << 20))
            let status =
                switch result.terminationStatus {
                case .exited(let code): Int(code)
                case .signaled(let signal): Int(signal) - 256
                }
            return (status, result.standardOutput, result.standardError)
        } catch {
            throw failure("\(error)", "")
        }
    }

    /// Runs it until it ends, or has run for so long, and tells of each line that it prints as soon as it does.
    func follow(patience: Duration, _ told: @Sendable (String) async throws -> Void) async throws(ManagerError) {
        // It ends even if this process does not come to that any more.
        let bounded = ["\(max(1, patience.components.seconds))"] + arguments
        let path = try self.path(of: "timeout")
        var options = PlatformOptions()
        options.teardownSequence = [.send(signal: .terminate, allowedDurationToNextStep: .seconds(1))]
        do {
            _ = try await Subprocess.run(
                .path(path), arguments: Arguments(bounded), platformOptions: options, input: .none,
                output: .sequence, error: .discarded
            ) { execution in
                var bytes: [UInt8] = []
                for try await part in execution.standardOutput {
                    bytes += unsafe part.withUnsafeBytes { unsafe Array($0) }
                    while let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
                        try await told(String(decoding: bytes[..<end], as: UTF8.self))
                        bytes.removeSubrange(...end)
                    }
                }
            }
        } catch {
            throw failure("\(error)", "")
        }
    }

    /// What is between two looks at something that comes soon.
    static func pause() async throws(ManagerError) {
        do { try await Task.sleep(for: .milliseconds(10)) } catch { throw ManagerError(.failed, "\(error)") }
    }

    private func failure(_ what: String, _ said: String) -> ManagerError {
        let sentence = said.split(separator: "\n").joined(separator: "; ")
        if let program = missing(said), let sentence = Self.missing(program) { return ManagerError(.failed, sentence) }
        return ManagerError(
            .failed, "“\(arguments.joined(separator: " "))” \(what)\(sentence.isEmpty ? "" : ": \(sentence)")")
    }

    private func path(of name: String) throws(ManagerError) -> FilePath {
        guard let path = ProgramPath.find(name) else {
            throw ManagerError(.failed, Self.missing(name) ?? "there is no program \(name)")
        }
        return path
    }

    private static func missing(_ program: String) -> String? {
        packages[program].map { "there is no program \(program): Debian has it in the package \($0)" }
    }

    /// The program that was not found: one that this one was to lead to, as nsenter(1), env(1) and nice(1) say it.
    private func missing(_ said: String) -> String? {
        guard said.contains("No such file or directory") else { return nil }
        return Self.packages.keys.first {
            said.contains("failed to execute \($0):") || said.contains("‘\($0)’:") || said.contains("'\($0)':")
        }
    }
}
