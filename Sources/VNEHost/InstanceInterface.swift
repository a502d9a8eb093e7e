internal import Glibc
internal import PolicyModel

/// The interface that carries an instance's application addresses: a `dummy` of its own where the kernel has it, else
/// the loopback interface; or another one that the policy names. Private loopbacks are on the instance's own in any case.
final class InstanceInterface {
    /// The dummy's name: the instance's with a 0 after it, as in `vne0`.
    let name: String
    /// Where the IPv6 halves of the instance's private loopbacks lie.
    private let loopbacks: IPPrefix
    private let rtnetlink: Rtnetlink
    /// What was found or made, for the next call.
    private var known: NetworkLink?

    init(instance: String, rtnetlink: Rtnetlink) {
        self.name = Self.name(for: instance)
        self.loopbacks = .privateLoopbacks(of: instance)
        self.rtnetlink = rtnetlink
    }

    /// An interface name, at most 15 bytes, for an instance; one that does not fit is told from others by its hash.
    static func name(for instance: String) -> String {
        let isPlain = instance.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 45
                || byte == 95
        }
        guard !isPlain || instance.isEmpty || instance.utf8.count > 14 else { return instance + "0" }
        let hash = String(fnv1a(instance), radix: 16)
        return "vne-" + String(repeating: "0", count: 8 - hash.count) + hash
    }

    /// What came of adding an address.
    enum Addition {
        case added
        /// It was there already.
        case present
        /// It is an IPv6 address, and the host has no IPv6; the error says what would help.
        case withoutIPv6(HostError)
    }

    /// Adds an address as /32 or /128. When it is there, packets for it are delivered.
    /// - Parameter carrier: an interface that is there and stays as it is; nil for the instance's own.
    func add(_ address: IPAddress, on carrier: String?) throws(HostError) -> Addition {
        var link = if let carrier { try self.carrier(named: carrier) } else { try ready() }
        var answer = try request(address, on: link)
        if answer.code == ENODEV, carrier == nil {
            // Another command removed the dummy since it was looked up.
            known = nil
            link = try ready()
            answer = try request(address, on: link)
        }
        if address.family == .ipv6, let error = Self.absenceOfIPv6(answer, address, link) {
            // The dummy may have been made for this address.
            if carrier == nil, link.kind == "dummy" { try removeIfUnused(link) }
            return .withoutIPv6(error)
        }
        let isPresent = answer.code == EEXIST
        if !isPresent { try rtnetlink.check(answer, "add the address", "\(address)") }
        guard address.family == .ipv6 else { return isPresent ? .present : .added }
        do throws(HostError) {
            try awaitDelivery(to: address)
        } catch {
            // Nobody is told of an address that failed, so nobody would take it away.
            if !isPresent { try remove(address) }
            throw error
        }
        return isPresent ? .present : .added
    }

    private func request(_ address: IPAddress, on link: NetworkLink) throws(HostError) -> NetlinkSession.Answer {
        try rtnetlink.addAddress(address, to: link, label: link.name == "lo" ? label : nil)
    }

    /// An interface that a policy names.
    func carrier(named name: String) throws(HostError) -> NetworkLink {
        guard let link = try rtnetlink.link(named: name) else {
            throw HostError(
                .missing, "find the interface", name, code: ENODEV,
                hint: "The policy has application addresses on it (“interface”).")
        }
        return link
    }

    /// The indexes of the interface for application addresses; where that is the instance's own, of `lo`, too.
    func carriers(_ carrier: String?) throws(HostError) -> Set<UInt32> {
        var carriers: Set<UInt32> = []
        for name in carrier.map({ [$0] }) ?? [name, "lo"] {
            if let link = try rtnetlink.link(named: name) { carriers.insert(link.index) }
        }
        return carriers
    }

    /// The error for a host without IPv6; nil if the kernel's answer is about something else.
    private static func absenceOfIPv6(
        _ answer: NetlinkSession.Answer, _ address: IPAddress, _ link: NetworkLink
    ) -> HostError? {
        let cure: String
        switch answer.code {
        case EACCES:
            let setting = "net.ipv6.conf.\(link.name).disable_ipv6"
            // A dummy that is made anew takes the namespace's default.
            let settings = link.kind == "dummy" ? "\(setting) and net.ipv6.conf.default.disable_ipv6" : setting
            cure = "IPv6 is disabled on \(link.name). Set \(settings) to 0"
        case EOPNOTSUPP, EAFNOSUPPORT:
            cure = "This kernel runs without IPv6. Load its module ipv6, or boot without ipv6.disable=1"
        default: return nil
        }
        return .unsupported(
            "add the address", "\(address)", code: answer.code,
            hint: cure + ", or give the application an IPv4 address only.")
    }

    /// Waits until an IPv6 address is routed as a local one.
    ///
    /// The kernel adds the address at once, so that it can be bound to, and its route from a work queue. A packet that is
    /// sent to it in between goes wherever another route leads.
    private func awaitDelivery(to address: IPAddress) throws(HostError) {
        var pause: UInt32 = 20
        while !(try rtnetlink.isLocal(address)) {
            guard pause < 1_000_000 else {
                throw HostError(
                    .failed, "add the address", "\(address)",
                    hint: "Its packets are not delivered here. A rule of ip -6 rule may come before the table “local”.")
            }
            usleep(pause)
            pause *= 2
        }
    }

    /// Removes an address wherever the instance may have put it, and the dummy with its last address.
    ///
    /// All interfaces are looked at: `dummy` may have become available after the address went to `lo`, and the policy may
    /// have named another one then.
    func remove(_ address: IPAddress) throws(HostError) {
        known = nil
        if let dummy = try dummy() {
            let removed = try rtnetlink.removeAddress(address, from: dummy)
            try removeIfUnused(dummy)
            if removed { return }
        }
        if let loopback = try rtnetlink.link(named: "lo"), try rtnetlink.removeAddress(address, from: loopback) {
            return
        }
        try remove(address, from: { _ in true })
    }

    /// Removes an address from every interface but one, which has it.
    func remove(_ address: IPAddress, besides carrier: String?) throws(HostError) {
        known = nil
        let kept = if let carrier { try self.carrier(named: carrier) } else { try ready() }
        try remove(address, from: { $0 != kept.index })
        if carrier != nil, let dummy = try dummy() { try removeIfUnused(dummy) }
    }

    private func remove(_ address: IPAddress, from isMeant: (UInt32) -> Bool) throws(HostError) {
        for entry in try rtnetlink.addresses() where entry.address == address && entry.prefix.isSingleAddress {
            guard isMeant(entry.link) else { continue }
            let link = NetworkLink(index: entry.link, name: "", isUp: true)
            _ = try rtnetlink.removeAddress(address, from: link)
        }
    }

    /// Marks the instance's addresses on `lo`; 15 bytes at most, as every label.
    private var label: String { "lo:" + name.prefix(12) }

    /// The interface, up; made if need be.
    private func ready() throws(HostError) -> NetworkLink {
        if let known { return known }
        var link = try dummy()
        if link == nil, try prefersDummy() {
            do throws(HostError) {
                _ = try rtnetlink.addDummy(named: name)
                link = try dummy()
            } catch {
                guard error.kind == .unsupported else { throw error }
            }
        }
        if link == nil { link = try rtnetlink.link(named: "lo") }
        guard let link else {
            throw HostError(.missing, "find the interface", "lo", hint: "This network namespace has no loopback.")
        }
        if !link.isUp { try rtnetlink.bringUp(link) }
        known = link
        return link
    }

    /// Whether to try for a dummy. An instance that has addresses on `lo` stays there, unless the driver is loaded
    /// already: where it is not, each try would have the kernel look for a module, which takes milliseconds.
    private func prefersDummy() throws(HostError) -> Bool {
        if unsafe access("/sys/module/dummy", F_OK) == 0 { return true }
        let label = label
        // Only IPv4 has labels; but every application has a private loopback, too.
        return !(try rtnetlink.addresses().contains { $0.label == label || loopbacks.contains($0.address) })
    }

    private func dummy() throws(HostError) -> NetworkLink? {
        guard let link = try rtnetlink.link(named: name) else { return nil }
        guard link.kind == "dummy" else {
            throw HostError(
                .refused, "use the interface", name,
                hint: "It is no dummy interface. Rename it, or give the instance another name.")
        }
        return link
    }

    private func removeIfUnused(_ dummy: NetworkLink) throws(HostError) {
        // The link-local address comes with the interface and counts for nothing.
        let isUsed = try rtnetlink.addresses().contains { entry in
            entry.link == dummy.index && !IPPrefix.linkLocal6.contains(entry.address)
        }
        guard !isUsed else { return }
        known = nil
        try rtnetlink.removeLink(dummy)
    }
}

/// The 32-bit FNV-1a hash of a text's UTF-8.
func fnv1a(_ text: String) -> UInt32 {
    text.utf8.reduce(0x811c_9dc5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
}
