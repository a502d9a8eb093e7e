import PolicyModel
import VNEAgent
import VNEBPF

/// The published policy image as tables.
extension Instance {
    func policySections() throws -> [DumpSection] {
        guard let image = try publishedImage() else {
            return [DumpSection(name: "policy", about: "nothing is published", table: Table([]))]
        }
        let names = try environmentNames()
        return [
            summary(of: image), try environments(of: image), try addresses(of: image, names: names),
            try comparisons(of: image), try permits(of: image, names: names),
        ]
    }

    private func summary(of image: PolicyImageReader) -> DumpSection {
        let shared = image.sharedServices.map { $0.address.with(port: $0.port) }.joined(separator: ",")
        let interfaces = image.interfaces.map(String.init).joined(separator: ",")
        return DumpSection(
            name: "policy", about: "the published image",
            table: Table(
                ["SOURCE", "GENERATION", "PAGES", "FLOWS", "FLOW-FLOOR", "INTERFACES", "SHARED"],
                rows: [
                    [
                        image.source, "\(image.generation)", "\(image.pageCount)", image.flowsOpen ? "count" : "closed",
                        "\(image.flowFloor)", interfaces.isEmpty ? "-" : interfaces, shared.isEmpty ? "-" : shared,
                    ]
                ]))
    }

    private func environments(of image: PolicyImageReader) throws -> DumpSection {
        let rows = try image.environments().map { environment in
            [
                "\(environment.id)", environment.name, Self.prefix(.ipv4, of: environment),
                Self.prefix(.ipv6, of: environment),
                environment.protocols.map(\.rawValue).sorted().joined(separator: ","),
                environment.host ? "allow" : "deny", environment.linkLocal ? "yes" : "no",
                environment.multicast ? "yes" : "no", environment.mode.rawValue,
                environment.needsEgress ? "yes" : "no",
            ]
        }
        return DumpSection(
            name: "policy.environments", about: "by id",
            table: Table(
                ["ID", "NAME", "PREFIX4", "PREFIX6", "PROTOCOLS", "HOST", "LINK-LOCAL", "MULTICAST", "MODE", "EGRESS"],
                rows: rows))
    }

    /// The only prefix of a family, `several`, or `-` for none.
    private static func prefix(
        _ family: AddressFamily, of environment: PolicyImageReader.EnvironmentRecord
    ) -> String {
        environment.prefixes[family]?.description ?? (environment.families.contains(family) ? "several" : "-")
    }

    private func addresses(of image: PolicyImageReader, names: [UInt32: String]) throws -> DumpSection {
        let rows = try image.ownedRanges().map { range in
            let (what, reserved): (String, String) =
                switch range.owner {
                case .remote: ("remote", "-")
                case .host: ("host", "-")
                case .loopback: ("loopback", "-")
                case .linkLocal: ("link-local", "-")
                case .multicast: ("multicast", "-")
                case .broadcast: ("broadcast", "-")
                case .unassigned: ("unassigned", "-")
                case .environment(let id, let reserved): ("\(names[id] ?? "?")(\(id))", reserved ? "yes" : "no")
                }
            return ["\(range.addresses.lowerBound)", "\(range.addresses.upperBound)", what, reserved]
        }
        return DumpSection(
            name: "policy.addresses", about: "what each address is",
            table: Table(["FIRST", "LAST", "OWNER", "RESERVED"], rows: rows))
    }

    private func comparisons(of image: PolicyImageReader) throws -> DumpSection {
        let rows = try image.comparisons().map { ["\($0.id)", $0.prefix, $0.matched, $0.otherwise] }
        return DumpSection(
            name: "policy.comparisons", about: "of the IPv6 trees",
            table: Table(["ID", "PREFIX", "MATCHED", "OTHERWISE"], rows: rows))
    }

    private func permits(of image: PolicyImageReader, names: [UInt32: String]) throws -> DumpSection {
        let rows = try image.permits().map { permit in
            let target =
                switch permit.to {
                case .environment(let id): "\(names[id] ?? "?")(\(id))"
                case .address(let address): "\(address)"
                }
            let rules = try image.list(permit.list).map(Self.text).joined(separator: " ")
            return ["\(names[permit.from] ?? "?")(\(permit.from))", target, rules]
        }
        return DumpSection(
            name: "policy.permits", about: "new flows between environments",
            table: Table(["FROM", "TO", "RULES"], rows: rows))
    }

    /// `tcp/5432`, `any`, and `!udp/53` for what is denied.
    private static func text(of rule: PolicyImageReader.Rule) -> String {
        let transport = TransportProtocol.allCases.first { $0.number == rule.transport }
        return (rule.allows ? "" : "!") + PortRule(transport, rule.ports).description
    }
}
