import ArgumentParser
import FoundationEssentials
import Glibc
import PolicyModel
import VNEManager

/// `vne-manager`: the commands, and how the process ends.
@main
struct VNEManagerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vne-manager",
        abstract: "The network that carries applications' addresses between hosts.",
        discussion: """
            A topology file says who is in a network. Its first manager makes the network's authority, and invites the \
            other nodes; each of them joins with its invitation. Tunnels (WireGuard) and routing (BIRD) are started, and go on \
            without this program. Example:
              vne-manager topology check network.yaml
              vne-manager init network.yaml --node london       (on london)
              vne-manager invite --all --output invitations     (on london)
              vne-manager join --invitation paris.invitation    (on paris)
              vne-manager status

            Topology and keys may also be given to each node by hand (join --keys), and the topology be sealed for whoever is \
            to have it. Example:
              vne-manager keyset init --network acme --output keyset.sealed
              vne-manager keyset export keyset.sealed network.yaml --output keys.yaml
              vne-manager seal network.yaml --keyset keyset.sealed --output acme.sealed

            Exit statuses:
              0    done
              1    failed
              2    the command line makes no sense
              3    a file has errors
              4    no such file, node, network or credential
            """,
        version: "vne-manager 0.1.0",
        subcommands: [
            InitCommand.self, InviteCommand.self, JoinCommand.self, StatusCommand.self, DoctorCommand.self,
            NetworksCommand.self, LinksCommand.self, RoutesCommand.self, UpCommand.self, DownCommand.self,
            DrainCommand.self, LeaveCommand.self, RunCommand.self, ProbeCommand.self, MoveCommand.self,
            ReclaimCommand.self,
            ExecCommand.self, TopologyCommand.self, RosterCommand.self, RevokeNodeCommand.self, TakeOverCommand.self,
            KeysetCommand.self, CredentialCommand.self, SealCommand.self, OpenCommand.self, KeyCommand.self,
        ])

    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as Failure {
            fail(error)
        } catch let error as ManagerError {
            fail(Failure(error))
        } catch {
            if exitCode(for: error) == .validationFailure {
                Console.error(fullMessage(for: error))
                Glibc.exit(2)
            }
            exit(withError: error)
        }
    }

    private static func fail(_ failure: Failure) -> Never {
        Console.error(failure.description)
        Glibc.exit(failure.status)
    }
}

/// What went wrong, and what the process ends with.
struct Failure: Error, CustomStringConvertible {
    var status: Int32
    var description: String

    init(status: Int32, description: String) {
        self.status = status
        self.description = description
    }

    /// Something that no other status names.
    static func failed(_ description: String) -> Self { Self(status: 1, description: "vne-manager: \(description)") }

    /// A file that has errors, one a line.
    static func file(_ errors: DocumentErrors) -> Self { Self(status: 3, description: "\(errors)") }

    /// What the node's own work ended with.
    init(_ error: ManagerError) {
        switch error.kind {
        case .failed: self = .failed(error.description)
        case .missing: self = .notFound(error.description)
        case .invalid: self.init(status: 3, description: error.description)
        }
    }

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

    /// Prints JSON.
    static func show(_ view: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        print(String(decoding: try encoder.encode(view), as: UTF8.self))
    }
}
