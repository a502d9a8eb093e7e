import ArgumentParser
import PolicyModel
import VNEManager

struct ReclaimCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reclaim", abstract: "Take an address away from a host that is gone for good, at a manager.",
        discussion: """
            A claim does not expire: it ends when its host gives it up, and a dead host does not. Be sure that it is dead: a \
            host that is only cut off goes on, together with the managers that it still reaches, and the address would be \
            there twice. Example:
              vne-manager reclaim 10.10.2.200 --force
            """)

    @Argument(help: "The address.")
    var address: String

    @Flag(help: "The host that has it is gone.")
    var force = false

    @OptionGroup var network: NetworkOptions

    func validate() throws {
        guard IPAddress(address) != nil else { throw ValidationError("“\(address)” is no address.") }
        guard force else {
            throw ValidationError("Whoever has the address may still be there: say --force if it is gone for good.")
        }
    }

    func run() async throws {
        guard let address = IPAddress(address) else { return }
        let node = try network.node
        let (owner, heir) = try await node.reclaim(address)
        let now = heir.map { "is \($0)'s, to whom it was about to be handed over" } ?? "is free"
        print("\(address) was \(owner)'s, and \(now)")
    }
}
