import PolicyModel

/// Which application had which addresses last, by name: those that were given up the longest ago come first.
///
/// The pins go with a reboot; this stays, so that chosen addresses are the same afterwards.
struct Leases: Hashable {
    private struct Lease: Hashable {
        var name: String
        var addresses: ApplicationAddresses
    }

    private var leases: [Lease] = []

    /// More names than these are not remembered.
    static let limit = 10_000

    /// Reads ``text``. What is none of its lines is passed over: at worst an address is chosen anew.
    init(parsing text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            let addresses = words.dropFirst().compactMap { IPAddress($0) }
            guard let name = words.first, addresses.count == words.count - 1,
                let addresses = ApplicationAddresses(addresses)
            else { continue }
            leases.append(Lease(name: String(name), addresses: addresses))
        }
    }

    /// A line for each: the name, then the addresses.
    var text: String {
        leases.map { lease in
            "\(lease.name) \(lease.addresses.all.map(\.description).joined(separator: " "))\n"
        }.joined()
    }

    /// Notes that an application has addresses, or gives them up, at this moment.
    mutating func note(_ addresses: ApplicationAddresses, of name: String) {
        leases.removeAll { $0.name == name || $0.addresses.all.contains(where: addresses.contains) }
        leases.append(Lease(name: name, addresses: addresses))
        if leases.count > Self.limit { leases.removeFirst(leases.count - Self.limit) }
    }

    /// What an application of this name had last.
    func addresses(of name: String) -> ApplicationAddresses? {
        leases.last { $0.name == name }?.addresses
    }

    /// Every address of a family, those that were given up the longest ago first.
    func addresses(of family: AddressFamily) -> [IPAddress] {
        leases.compactMap { $0.addresses[family] }
    }
}

extension Agent {
    /// What is remembered of addresses. A file that cannot be read is no reason to attach nothing.
    func leases() -> Leases {
        Leases(parsing: ((try? host.keptLeases()) ?? nil) ?? "")
    }

    /// Remembers that an application has addresses, or gives them up, at this moment.
    func remember(_ addresses: ApplicationAddresses, of name: String, warnings: inout [String]) {
        var leases = leases()
        leases.note(addresses, of: name)
        do throws(AgentError) {
            try asking { try host.keepLeases(leases.text) }
        } catch {
            warnings.append("the addresses of \(name) may be other ones after a reboot: \(error.message)")
        }
    }
}
