import ArgumentParser
import VNEAgent
import VNEHost

struct ConfirmCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "confirm",
        abstract: "Keep the policy that apply --confirm has on trial.",
        discussion: """
            Example:
              vne-agent confirm
            """)

    @OptionGroup var instance: InstanceOptions

    func run() throws {
        try Session.requireRoot()
        guard try Confirmation.confirm(instance: instance.instance) else {
            throw AgentError(.notFound, "no policy of the instance \(instance.instance) is on trial")
        }
        Console.show("confirmed")
    }
}
