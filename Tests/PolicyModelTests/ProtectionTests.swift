import PolicyModel
import TestSupport
import Testing

@Suite struct ProtectionTests {
    private func policy(requiring words: String) throws -> Policy {
        try PolicyFile.parse(
            """
            addressSpace: 10.10.0.0/16
            environments:
              shop: {addresses: 10.10.2.0/24\(words)}
              bank: {addresses: 10.10.3.0/24}
            applications:
              web: {environment: shop, address: 10.10.2.1, cgroup: web}
              db: {environment: bank, address: 10.10.3.1, cgroup: db}
            """, source: "p")
    }

    @Test func `an environment requires what it lists, one word or several, and nothing by itself`() throws {
        #expect(try policy(requiring: "").environments[0].requires == [])
        #expect(try policy(requiring: ", require: bpf").environments[0].requires == [.bpf])
        #expect(
            try policy(requiring: ", require: [families, dualStack]").environments[0].requires
                == [.families, .dualStack])
        let all = Protection.allCases.map(\.rawValue).joined(separator: ", ")
        #expect(try policy(requiring: ", require: [\(all)]").environments[0].requires == Set(Protection.allCases))
    }

    @Test func `a change of what is required is a change of the environment, and revokes nothing`() throws {
        let plan = Plan.make(
            current: try policy(requiring: ""), desired: try policy(requiring: ", require: closing"), attached: [],
            cgroupsPresent: { _ in false })
        #expect(plan.changes.first == .publish(added: [], removed: [], changed: ["shop"], revokes: false))
    }

    @Test func `an application whose environment requires what does not hold waits, and others are attached`() throws {
        let plan = Plan.make(
            current: nil, desired: try policy(requiring: ", require: [netlink, bpf, closing]"), attached: [],
            cgroupsPresent: { _ in true },
            unmet: { required in Protection.allCases.filter { required.contains($0) && $0 != .closing } })
        #expect(
            plan.changes.map(\.description).dropFirst() == [
                "+ attach db to bank as 10.10.3.1 (db)",
                "! web waits: its environment shop requires bpf and netlink, which do not hold",
            ])
    }

    @Test func `every protection says what it is and what holds it`() {
        #expect(Set(Protection.allCases.map(\.sentence)).count == Protection.allCases.count)
        #expect(Set(Protection.allCases.map(\.mechanism)).count == Protection.allCases.count)
        #expect(Protection.list([.families]) == "families")
        #expect(Protection.list([.families, .bpf, .unix]) == "families, bpf and unix")
    }
}
