public import ArgumentParser
public import VNEAgent
public import VNEHost

/// Options of every command.
struct InstanceOptions: ParsableArguments {
    @Option(help: "The instance: a directory of pins, a lock and an interface of its own.")
    var instance = "vne"

    @Option(help: "Where the host's name servers are listed; one on loopback stays reachable.")
    var resolvConf = "/etc/resolv.conf"

    @Option(
        help: ArgumentHelp(
            "The hosts file in which applications are named (default: /etc/hosts for the instance vne, none for others).",
            valueName: "file"))
    var hosts: String?

    /// Another instance is another host, whose names are not this one's.
    var hostsFile: String? { hosts ?? (instance == "vne" ? "/etc/hosts" : nil) }

    /// The host of the instance.
    var host: LinuxHost { LinuxHost(instance: instance, resolvConf: resolvConf, hostsFile: hostsFile) }

    func validate() throws {
        let allowed = instance.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard allowed, !instance.isEmpty, !instance.hasPrefix("-") else {
            throw ValidationError("“\(instance)” is no name for an instance: letters, digits, “-” and “_”.")
        }
    }
}

/// The option of every command that shows something.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Show JSON.")
    var json = false
}

/// The option of the commands that attach.
struct AddressOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "An application address, once for each family; or auto to have them chosen (default: auto).",
            valueName: "address"))
    var address: [String] = []

    /// What the option asks for.
    var choice: AddressChoice {
        get throws(AgentError) { try AddressChoice(address) }
    }

    func validate() throws {
        do {
            _ = try choice
        } catch {
            throw ValidationError(error.message)
        }
    }
}

/// A time as people write it: `60s`, `5m`, or seconds without a unit.
struct TimeLimit: ExpressibleByArgument, CustomStringConvertible {
    var seconds: Int

    var description: String { "\(seconds)s" }

    init(seconds: Int) { self.seconds = seconds }

    init?(argument: String) {
        let factor = argument.hasSuffix("m") ? 60 : 1
        let digits = argument.hasSuffix("m") || argument.hasSuffix("s") ? argument.dropLast() : argument[...]
        // A day is no trial any more.
        guard let number = Int(digits), (1...86_400 / factor).contains(number) else { return nil }
        seconds = number * factor
    }
}

extension TextPlace: ExpressibleByArgument {
    /// `127.0.0.1:9417`, `[::1]:9417` or `unix:/run/vne/metrics.sock`.
    public init?(argument: String) {
        self.init(argument)
    }
}

extension Cleaning: ExpressibleByArgument {}

extension Capability: ExpressibleByArgument {}

extension Endpoint: ExpressibleByArgument {
    /// `ADDRESS[:PORT][/PROTOCOL]`, with brackets round an IPv6 address that has a port.
    public init?(argument: String) {
        self.init(argument)
    }
}
