import PolicyModel

/// Which application has an address: as one of its application addresses, or as one of its own loopback.
struct AddressHolders {
    /// Positions in the list of applications, by application address.
    private var byAddress: [IPAddress: Int] = [:]
    /// The same by what all addresses of a loopback begin with: the /24, and the IPv6 address.
    private var byLoopback: [IPPrefix: Int] = [:]

    init(_ applications: [AttachedApplication]) {
        for (position, application) in applications.enumerated() {
            for address in application.addresses.all where byAddress[address] == nil { byAddress[address] = position }
            for address in [application.loopback.ipv4, application.loopback.ipv6] {
                byLoopback[Self.block(of: address)] = position
            }
        }
    }

    /// The position of the application that has this application address.
    func application(with address: IPAddress) -> Int? { byAddress[address] }

    /// The position of the application that has this address, also as one of its loopback.
    func owner(of address: IPAddress) -> Int? {
        byAddress[address] ?? byLoopback[Self.block(of: address)]
    }

    private static func block(of address: IPAddress) -> IPPrefix {
        IPPrefix(holding: address, length: address.family == .ipv4 ? 24 : 128)
    }
}
