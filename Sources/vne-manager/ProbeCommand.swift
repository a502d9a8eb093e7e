import ArgumentParser
import VNEManager

/// What a node starts as an engine, and nobody by hand.
struct ProbeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe", abstract: "Probe this node's links, in the network's namespace.",
        discussion: "“vne-manager up” starts it, and “vne-manager status” shows what it finds.", shouldDisplay: false)

    @OptionGroup var network: NetworkOptions

    func run() throws {
        try LinkProber(try network.place).run()
    }
}
