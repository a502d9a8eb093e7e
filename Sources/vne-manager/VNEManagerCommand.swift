import ArgumentParser
import FoundationEssentials
import Glibc
import PolicyModel

/// `vne-manager`: the commands, and how the process ends.
@main
struct VNEManagerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vne-manager",
        abstract: "The network that carries applications' addresses between hosts.",
        discussion: """
            In this version: topology files are checked, shown, and compiled into what WireGuard, BIRD, ip and vne-agent
            read; nodes are certified by the network's authority; and topologies are sealed. Nothing is run from it. Example:
              vne-manager topology check network.yaml
              vne-manager keyset init --network acme --output keyset.sealed
              vne-manager keyset export keyset.sealed network.yaml --output keys.yaml
              vne-manager topology compile network.yaml --keys keys.yaml --node london
              vne-manager seal network.yaml --keyset keyset.sealed --output acme.sealed

            Exit statuses:
              0    done
              1    failed
              2    the command line makes no sense
              3    a file has errors
              4    no such file, node or credential
            """,
        version: "vne-manager 0.1.0",
        subcommands: [
            TopologyCommand.self, KeysetCommand.self, CredentialCommand.self, SealCommand.self, OpenCommand.self,
        ])

    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let error as Failure {
            Console.error(error.description)
            Glibc.exit(error.status)
        } catch {
            if exitCode(for: error) == .validationFailure {
                Console.error(fullMessage(for: error))
                Glibc.exit(2)
            }
            exit(withError: error)
        }
    }
}

/// What went wrong, and what the process ends with.
struct Failure: Error, CustomStringConvertible {
    var status: Int32
    var description: String

    /// Something that no other status names.
    static func failed(_ description: String) -> Self { Self(status: 1, description: "vne-manager: \(description)") }

    /// A file that has errors, one a line.
    static func file(_ errors: DocumentErrors) -> Self { Self(status: 3, description: "\(errors)") }

    /// There is none of that name.
    static func notFound(_ description: String) -> Self { Self(status: 4, description: "vne-manager: \(description)") }
}

/// What a person sees.
enum Console {
    /// Writes to the standard error.
    static func error(_ text: String) {
        var line = text.hasSuffix("\n") ? text : text + "\n"
        line.withUTF8 { bytes in _ = unsafe write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
    }
}
