internal import Subprocess

/// A program of the system that does a part of the work: `ip`, `wg`, `bird` and their like.
struct Program {
    private var arguments: [String]
    /// The package that has it, for messages.
    private static let packages = [
        "ip": "iproute2", "nft": "nftables", "wg": "wireguard-tools", "bird": "bird2", "birdc": "bird2",
        "wireguard-go": "wireguard-go", "nsenter": "util-linux", "unshare": "util-linux", "setsid": "util-linux",
        "sysctl": "procps",
    ]

    init(_ arguments: [String]) {
        self.arguments = arguments
    }

    /// The same program in the network namespace of a name, as `ip netns add` makes them, with all else as it is here.
    func inside(namespace name: String) -> Program {
        Program(["nsenter", "--net=\(NetworkPlace.namespaces)/\(name)"] + arguments)
    }

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
        do {
            let result = try await Subprocess.run(
                .name(command), arguments: Arguments(Array(arguments.dropFirst())), input: .string(text),
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

    /// What is between two looks at something that comes soon.
    static func pause() async throws(ManagerError) {
        do { try await Task.sleep(for: .milliseconds(10)) } catch { throw ManagerError(.failed, "\(error)") }
    }

    private func failure(_ what: String, _ said: String) -> ManagerError {
        let sentence = said.split(separator: "\n").joined(separator: "; ")
        if let program = missing(what, said), let package = Self.packages[program] {
            return ManagerError(.failed, "there is no program \(program): Debian has it in the package \(package)")
        }
        return ManagerError(
            .failed, "“\(arguments.joined(separator: " "))” \(what)\(sentence.isEmpty ? "" : ": \(sentence)")")
    }

    /// The program that was not found: this one, or one that it was to lead to, as nsenter(1), env(1) and nice(1) say it.
    private func missing(_ what: String, _ said: String) -> String? {
        if what.contains("executableNotFound") { return arguments.first }
        guard said.contains("No such file or directory") else { return nil }
        return Self.packages.keys.first {
            said.contains("failed to execute \($0):") || said.contains("‘\($0)’:") || said.contains("'\($0)':")
        }
    }
}
