public import PolicyModel

/// Which application addresses an attachment asks for.
public enum AddressChoice: Hashable, Sendable {
    /// The lowest free one of the environment, in each family in which it has addresses.
    case auto
    /// These, and none in a family that is not named.
    case fixed(ApplicationAddresses)

    /// The choice that a command line's words make: none or `auto` alone, or an address of each wanted family.
    public init(_ words: [String]) throws(AgentError) {
        var found: [IPAddress] = []
        for word in words where word != "auto" {
            guard let address = IPAddress(word) else {
                throw AgentError(.usage, "“\(word)” is neither an IP address nor auto")
            }
            if let earlier = found.first(where: { $0.family == address.family }) {
                throw AgentError(
                    .usage,
                    "\(earlier) and \(address) are both \(address.family.name): an application has one address of a family"
                )
            }
            found.append(address)
        }
        guard let fixed = ApplicationAddresses(found) else {
            self = .auto
            return
        }
        guard found.count == words.count else {
            throw AgentError(.usage, "auto chooses for every family: name auto alone, or only addresses")
        }
        self = .fixed(fixed)
    }
}
