internal import Glibc
internal import PolicyModel

/// The interface that carries an instance's application addresses: a `dummy` of its own where the kernel has it, else
/// the loopback interface.
final class InstanceInterface {
    /// The dummy's name: the instance's with a 0 after it, as in `vne0`.
    let name: String
    private let rtnetlink: Rtnetlink
    /// What was found or made, for the next call.
    private var known: NetworkLink?

    init(instance: String, rtnetlink: Rtnetlink) {
        self.name = Self.name(for: instance)
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

    /// Adds an address as /32 or /128 and returns the kernel's answer.
    func add(_ bytes: [UInt8]) throws(HostError) -> NetlinkSession.Answer {
        let link = try ready()
        let answer = try rtnetlink.addAddress(bytes, to: link, label: link.kind == nil ? label : nil)
        guard answer.code == ENODEV else { return answer }
        // Another command removed the dummy since it was looked up.
        known = nil
        let again = try ready()
        return try rtnetlink.addAddress(bytes, to: again, label: again.kind == nil ? label : nil)
    }

    /// Removes an address wherever the instance may have put it, and the dummy with its last address.
    ///
    /// Both interfaces are looked at: `dummy` may have become available after the address went to `lo`.
    func remove(_ bytes: [UInt8], subject: String) throws(HostError) {
        known = nil
        if let dummy = try dummy() {
            let removed = try rtnetlink.removeAddress(bytes, from: dummy, subject: subject)
            try removeIfUnused(dummy)
            if removed { return }
        }
        guard let loopback = try rtnetlink.link(named: "lo") else { return }
        _ = try rtnetlink.removeAddress(bytes, from: loopback, subject: subject)
    }

    func check(_ answer: NetlinkSession.Answer, _ operation: String, _ subject: String) throws(HostError) {
        try rtnetlink.check(answer, operation, subject)
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
        return !(try rtnetlink.addresses(family: AF_INET).contains { $0.label == label })
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
        for family in [AF_INET, AF_INET6] {
            // The link-local address comes with the interface and counts for nothing.
            let used = try rtnetlink.addresses(family: family).contains { address in
                address.link == dummy.index
                    && !(address.bytes.starts(with: [0xfe, 0x80]) && address.family == AF_INET6)
            }
            if used { return }
        }
        try rtnetlink.removeLink(dummy)
    }
}

/// The 32-bit FNV-1a hash of a text's UTF-8.
func fnv1a(_ text: String) -> UInt32 {
    text.utf8.reduce(0x811c_9dc5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
}
