import ArgumentParser
import Glibc
import PolicyModel
import VNEAgent

struct MoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move",
        abstract: "Hand an application's address over to the same application on another host.",
        discussion: """
            It is attached there too, and waits for the address; “vne-manager move” says what happens. The application here \
            stays attached, and is reached no more. Example:
              vne-agent move till bank
            """)

    @Argument(help: "The application's name, or its cgroup.")
    var application: String

    @Argument(help: "The host that gets its address, as the network's topology names it.")
    var host: String

    @Option(help: "The network; may be left out where this machine is in one only.")
    var network: String?

    @OptionGroup var instance: InstanceOptions

    func run() throws {
        let status = try Session(instance, .show).agent.status(of: application)
        // The network's address space has IPv4 only.
        guard let address = status.addresses.first(where: { $0.family == .ipv4 }) else {
            throw AgentError(.refused, "\(status.name) has no IPv4 address, and networks hand over no others")
        }
        let words =
            ["vne-manager", "move", "\(address)", host, "--instance", instance.instance]
            + (network.map { ["--network", $0] } ?? [])
        var arguments: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
        unsafe execvp("vne-manager", &arguments)
        throw AgentError(
            .failure, "vne-manager cannot be run: \(unsafe String(cString: strerror(errno)))",
            hint: "It is in the package vne-manager, and hands the address over.")
    }
}
