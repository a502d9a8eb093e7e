import PolicyModel

/// Application addresses on an interface that the policy names, where other hosts may have them, too.
///
/// What is asked of the link at once takes as long as asking for one address, so whoever deals with many applications asks
/// before the first, and tells after the last.
extension Agent {
    /// The interface that the published policy names; nil for the instance's own, whose addresses nobody else can have.
    func carrier() throws(AgentError) -> String? {
        try asking { try dataplane.publishedIdentity() }.interface
    }

    /// Throws if another host on the link has one of an application's addresses, or wants it at the same time.
    /// - Parameter free: those that were asked for just now.
    func claim(
        _ addresses: ApplicationAddresses, for name: String, knownFree free: Set<IPAddress> = []
    ) throws(AgentError) {
        guard let carrier = try carrier() else { return }
        let holders = try holders(of: Set(addresses.all).subtracting(free), on: carrier)
        guard let (address, holder) = holders.min(by: { $0.key < $1.key }) else { return }
        throw AgentError(
            .conflict, "\(address) of “\(name)” is another host's on the link of \(carrier): \(holder) has it",
            hint: "detach the application there first, or choose another address", mayPass: true)
    }

    /// Those of some addresses that nobody else on the link has.
    func free(_ addresses: Set<IPAddress>) throws(AgentError) -> Set<IPAddress> {
        guard let carrier = try carrier() else { return [] }
        return addresses.subtracting(try holders(of: addresses, on: carrier).keys)
    }

    private func holders(
        of addresses: Set<IPAddress>, on carrier: String
    ) throws(AgentError) -> [IPAddress: String] {
        guard !addresses.isEmpty else { return [:] }
        return try asking { try host.holders(of: addresses, on: carrier) }
    }

    /// Tells the link that addresses are here now. One that could not be told is found all the same, once others ask.
    func announce(_ addresses: Set<IPAddress>, warnings: inout [String]) {
        do throws(AgentError) {
            guard !addresses.isEmpty, let carrier = try carrier() else { return }
            try asking { try host.announce(addresses, on: carrier) }
        } catch {
            warnings.append("the link was not told of \(addresses.count) address(es): \(error.message)")
        }
    }
}
