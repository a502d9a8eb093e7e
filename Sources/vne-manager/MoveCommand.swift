import ArgumentParser
import PolicyModel
import VNEManager

struct MoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move", abstract: "Hand an application's address over to another host, at the host that has it.",
        discussion: """
            An application with the address is attached at both hosts, and the other one waits for it, as its “vne-manager \
            status” says. It has the address a moment after this one has let go of it; nobody else can have it between. \
            The application here stays attached, is reached no more, and waits for the address from then on. Example:
              vne-manager move 10.10.2.200 bank
            """)

    @Argument(help: "The address.")
    var address: String

    @Argument(help: "The host that gets it.")
    var host: String

    @OptionGroup var network: NetworkOptions

    func validate() throws {
        guard IPAddress(address) != nil else { throw ValidationError("“\(address)” is no address.") }
    }

    func run() async throws {
        guard let address = IPAddress(address) else { return }
        let handover = try await network.node.move(address, to: host)
        let tenths = Int((handover.duration / .milliseconds(1) * 10).rounded())
        print("\(address) is \(handover.host)'s; managers agreed in \(tenths / 10).\(tenths % 10) ms")
    }
}
