extension PolicyReader {
    /// What `guard` says: cgroups of the host, and addresses for their wildcards.
    mutating func hostGuard(
        _ node: YAMLNode, space: [Marked<IPPrefix>]?, applications: [ApplicationDraft]
    ) -> HostGuard? {
        let what = "a mapping with cgroups, and addresses if wildcards are to be bound to one"
        guard let fields = fields(node, expected: what, keys: ["cgroups", "addresses"]) else { return nil }
        require("cgroups", in: fields, of: "guard")
        var hostGuard = HostGuard(cgroups: [], line: node.mark.line)
        if let node = fields["cgroups"] {
            let cgroups = guardedCgroups(node)
            checkAreApart(cgroups, applications: applications)
            hostGuard.cgroups = cgroups.map(\.value)
        }
        if let node = fields["addresses"] { hostGuard.addresses = guardAddresses(node, space: space ?? []) }
        return hostGuard
    }

    // MARK: Cgroups

    private mutating func guardedCgroups(_ node: YAMLNode) -> [Marked<String>] {
        guard let items = items(node, expected: "a cgroup or a list of cgroups, such as system.slice") else {
            return []
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
            for earlier in cgroups[..<index] {
                let line = earlier.mark.line
                if cgroup.value == earlier.value {
                    report(cgroup.mark, "\(cgroup.value.quoted) is there twice, first at line \(line)")
                } else if HostGuard.lies(cgroup.value, inOrBelow: earlier.value) {
                    report(
                        cgroup.mark,
                        "\(cgroup.value.quoted) lies in \(earlier.value.quoted) of line \(line), and is guarded with it"
                    )
                } else if HostGuard.lies(earlier.value, inOrBelow: cgroup.value) {
                    report(
                        cgroup.mark,
                        "\(cgroup.value.quoted) holds \(earlier.value.quoted) of line \(line), which is guarded with it"
                    )
                }
            }
            guard cgroup.value != HostGuard.root else { continue }
            for draft in applications {
                guard let own = draft.application.cgroup, HostGuard.lies(cgroup.value, inOrBelow: own) else { continue }
                let place = "application \(draft.application.name.quoted), line \(draft.mark.line)"
                report(
                    cgroup.mark,
                    cgroup.value == own
                        ? "\(cgroup.value.quoted) is the cgroup of \(place); the guard is for what is no application"
                        : "\(cgroup.value.quoted) lies in the cgroup of \(place); the guard is for what is no application"
                )
            }
        }
    }

    // MARK: Addresses

    private mutating func guardAddresses(_ node: YAMLNode, space: [Marked<IPPrefix>]) -> ApplicationAddresses? {
        let what = "an address of this host, one of each family"
        guard let items = items(node, expected: what) else { return nil }
        var found: [Marked<IPAddress>] = []
        for item in items {
            guard let text = text(item, expected: what), let address = address(text, at: item, expected: what) else {
                continue
            }
            let shown = "\(address.value)".quoted
            if let first = found.first(where: { $0.value.family == address.value.family }) {
                report(
                    item.mark,
                    "a guard has one address of each family; \(shown) is a second \(address.value.family.name) address "
                        + "besides \("\(first.value)".quoted)")
            } else if let prefix = space.first(where: { $0.value.contains(address.value) }) {
                report(
                    item.mark,
                    "\(shown) is inside the address space (\("\(prefix.value)".quoted), line \(prefix.mark.line)), which the "
                        + "guard keeps clear of; expected \(what)")
            } else if AddressClass.fixed.contains(where: { $0.prefix.contains(address.value) }) {
                report(item.mark, "\(shown) is no unicast address of an interface that is reached; expected \(what)")
            } else {
                found.append(address)
            }
        }
        return ApplicationAddresses(found.lazy.map(\.value))
    }
}
