extension PolicyReader {
    /// What `guard` says: cgroups of the host, and addresses for their wildcards.
    mutating func hostGuard(
        _ node: YAMLNode, line: Int, space: [Marked<IPPrefix>]?, applications: [ApplicationDraft]
    ) -> HostGuard? {
        let what = "a mapping with cgroups, and addresses if wildcards are to be bound to one"
        guard let fields = fields(node, expected: what, keys: ["cgroups", "addresses"]) else { return nil }
        require("cgroups", in: fields, of: "guard")
        var hostGuard = HostGuard(cgroups: [], line: line)
        if let node = fields["cgroups"] {
            let cgroups = guardedCgroups(node)
            checkAreApart(cgroups, applications: applications)
            hostGuard.cgroups = cgroups.map(\.value)
        }
        if let node = fields["addresses"] { hostGuard.addresses = guardAddresses(node, space: space ?? []) }
        return hostGuard
    }

    // MARK: Cgroups

    /// Slices, not services: each costs its processes the hooks.
    private static let guardsAtMost = 64

    private mutating func guardedCgroups(_ node: YAMLNode) -> [Marked<String>] {
        guard let items = items(node, expected: "a cgroup or a list of cgroups, such as system.slice") else {
            return []
        }
        if items.count > Self.guardsAtMost {
            report(node.mark, "expected at most \(Self.guardsAtMost) cgroups; found \(items.count)")
        }
        return items.compactMap { item in
            guard case .scalar(let text, _) = item.content, !text.isEmpty else {
                expected("a cgroup such as system.slice, or “/” for the whole host", at: item)
                return nil
            }
            if text == HostGuard.root { return Marked(value: text, mark: item.mark) }
            guard !text.utf8.allSatisfy({ $0 == 46 || $0 == 47 }) || text.contains("..") else {
                report(item.mark, "the whole host is written “/”; found \(text.quoted)", suggestion: HostGuard.root)
                return nil
            }
            return cgroup(item).map { Marked(value: $0, mark: item.mark) }
        }
    }

    /// No cgroup is guarded twice, and none is an application's or lies in one: that judges its own processes.
    private mutating func checkAreApart(_ cgroups: [Marked<String>], applications: [ApplicationDraft]) {
        for (index, cgroup) in cgroups.enumerated() {
            let path = cgroup.value.quoted
            let own = applications.first { draft in
                guard let own = draft.application.cgroup, cgroup.value != HostGuard.root else { return false }
                return HostGuard.lies(cgroup.value, inOrBelow: own)
            }
            if let own {
                report(
                    cgroup.mark,
                    "\(path) \(cgroup.value == own.application.cgroup ? "is" : "lies in") the cgroup of application "
                        + "\(own.application.name.quoted), line \(own.mark.line); the guard is for what is no application"
                )
                continue
            }
            let earlier = cgroups[..<index].first {
                HostGuard.lies(cgroup.value, inOrBelow: $0.value) || HostGuard.lies($0.value, inOrBelow: cgroup.value)
            }
            guard let earlier else { continue }
            if cgroup.value == earlier.value {
                report(cgroup.mark, "\(path) is there twice, first at line \(earlier.mark.line)")
            } else {
                let word = HostGuard.lies(cgroup.value, inOrBelow: earlier.value) ? "lies in" : "holds"
                report(
                    cgroup.mark,
                    "\(path) \(word) \(earlier.value.quoted) of line \(earlier.mark.line): a cgroup is guarded with all "
                        + "below it")
            }
        }
    }

    // MARK: Addresses

    private mutating func guardAddresses(_ node: YAMLNode, space: [Marked<IPPrefix>]) -> ApplicationAddresses? {
        let what = "an address of this host, one of each family"
        guard let items = items(node, expected: what) else { return nil }
        var found: [Marked<IPAddress>] = []
        for item in items {
            guard let text = text(item, expected: what) else { continue }
            guard text != "auto" else {
                expected(what, at: item)
                continue
            }
            guard let address = address(text, at: item, expected: what) else { continue }
            let shown = "\(address.value)".quoted
            if let prefix = space.first(where: { $0.value.contains(address.value) }) {
                report(
                    item.mark,
                    "\(shown) is inside the address space (\("\(prefix.value)".quoted), line \(prefix.mark.line)), which the "
                        + "guard keeps clear of; expected \(what)")
            } else if let kind = Self.kindOfNoInterface(address.value) {
                report(item.mark, "\(shown) is \(kind); expected \(what)")
            } else if let first = found.first(where: { $0.value.family == address.value.family }) {
                report(
                    item.mark,
                    "a guard has one address of each family; \(shown) is a second \(address.value.family.name) address "
                        + "besides \("\(first.value)".quoted)")
            } else {
                found.append(address)
            }
        }
        return ApplicationAddresses(found.lazy.map(\.value))
    }

    /// What an address is that no guarded process can be reached at; nil for any other.
    private static func kindOfNoInterface(_ address: IPAddress) -> String? {
        switch AddressClass.fixed.first(where: { $0.prefix.contains(address) })?.class {
        case .loopback: "loopback, or a wildcard"
        case .linkLocal: "link-local, which is not the same on every link"
        case .multicast: "a multicast group"
        case .broadcast: "a broadcast address"
        default: nil
        }
    }
}
