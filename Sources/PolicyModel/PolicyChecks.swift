/// Checks between the parts of a policy file that could be read: nothing is there twice, everything is where it
/// belongs, and every name that is referred to exists. Sorts and hashes; nothing is compared with everything.
struct PolicyChecks {
    /// nil if some of it could not be read.
    let space: [Marked<IPPrefix>]?
    let environments: [EnvironmentDraft]
    /// Also of those that could not be read.
    let environmentNames: Set<String>
    let applications: [ApplicationDraft]
    let applicationNames: Set<String>
    /// Whether the file has environments at all; it is said once if not.
    let hasEnvironments: Bool
    var nearest = NearestWord()
    private(set) var errors: [DocumentError] = []

    private var environmentIndices: [String: Int] = [:]
    private var applicationIndices: [String: Int] = [:]
    /// Names of applications by environment.
    private var members: [String: [String]] = [:]

    init(
        space: [Marked<IPPrefix>]?, environments: [EnvironmentDraft], environmentNames: Set<String>,
        applications: [ApplicationDraft], applicationNames: Set<String>, hasEnvironments: Bool
    ) {
        self.space = space
        self.environments = environments
        self.environmentNames = environmentNames
        self.applications = applications
        self.applicationNames = applicationNames
        self.hasEnvironments = hasEnvironments
    }

    /// Does all checks.
    mutating func run() {
        environmentIndices = Dictionary(
            environments.enumerated().map { ($1.environment.name, $0) }, uniquingKeysWith: { first, _ in first })
        applicationIndices = Dictionary(
            applications.enumerated().map { ($1.application.name, $0) }, uniquingKeysWith: { first, _ in first })
        members = Dictionary(grouping: applications.map(\.application), by: \.environment).mapValues { $0.map(\.name) }
        checkEnvironmentsAreApart()
        checkEnvironmentsAreInside()
        checkRemotesAreOutside()
        checkPermits()
        checkMembership()
        checkAddressesAreUnique()
        checkHostnamesAreUnique()
        checkCgroupsAreApart()
    }

    private mutating func report(_ mark: YAMLMark, _ message: String, suggestion: String? = nil) {
        errors.append(DocumentError(at: mark, message, suggestion: suggestion))
    }

    // MARK: Environments

    private mutating func checkEnvironmentsAreApart() {
        let items = environments.enumerated().flatMap { index, draft in
            draft.addresses.map { OverlapSweep.Item(prefix: $0.value, mark: $0.mark, owner: index) }
        }
        for (later, earlier) in OverlapSweep().run(items) {
            let prefix = "\(later.prefix)".quoted
            let other = "\(earlier.prefix)".quoted
            let name = environments[later.owner].environment.name.quoted
            guard later.owner != earlier.owner else {
                report(
                    later.mark, "\(prefix) of environment \(name) overlaps \(other) of line \(earlier.mark.line)")
                continue
            }
            let owner = environments[earlier.owner]
            report(
                later.mark,
                "\(prefix) of environment \(name) overlaps \(other) of environment "
                    + "\(owner.environment.name.quoted), line \(earlier.mark.line)")
        }
    }

    private mutating func checkEnvironmentsAreInside() {
        guard let space else { return }
        let ranges = AddressRanges(space.map(\.value))
        for draft in environments {
            for prefix in draft.addresses where !ranges.contains(prefix.value) {
                report(
                    prefix.mark,
                    "\("\(prefix.value)".quoted) of environment \(draft.environment.name.quoted) is outside the "
                        + "address space")
            }
        }
    }

    private mutating func checkRemotesAreOutside() {
        let space = AddressRanges((self.space ?? []).map(\.value))
        let never = AddressRanges(AddressClass.fixed.map(\.prefix))
        for draft in environments {
            for rule in draft.remoteRules {
                let prefix = "\(rule.prefix.value)".quoted
                if space.contains(rule.prefix.value) {
                    report(
                        rule.prefix.mark,
                        "\(prefix) is inside the address space, so that it is no remote and the entry never matches; "
                            + "permits allow other environments")
                } else if never.contains(rule.prefix.value) {
                    report(
                        rule.prefix.mark,
                        "\(prefix) is no remote but loopback, link-local, multicast or broadcast, so that the entry "
                            + "never matches")
                }
                for port in rule.ports {
                    checkSpeaks(draft, port)
                }
            }
        }
    }

    /// Reports a rule for a protocol that the environment's sockets may not have.
    private mutating func checkSpeaks(_ draft: EnvironmentDraft, _ port: Marked<PortRule>) {
        guard let transport = port.value.transport, draft.hasProtocols,
            !draft.environment.protocols.contains(transport)
        else { return }
        report(
            port.mark,
            "\("\(port.value)".quoted) never matches: \(transport.rawValue) is not among the protocols of environment "
                + draft.environment.name.quoted)
    }

    // MARK: Permits

    private mutating func checkPermits() {
        for draft in environments {
            for (permit, marks) in zip(draft.environment.permits, draft.permitMarks) {
                guard permit.environment != draft.environment.name else {
                    report(
                        marks.target,
                        "\(permit.environment.quoted) is the environment itself, whose addresses reach each other "
                            + "without a permit")
                    continue
                }
                checkTarget(of: permit, at: marks.target)
                checkFamilies(draft, permit, at: marks.target)
                for port in marks.ports {
                    checkSpeaks(draft, port)
                    if let index = environmentIndices[permit.environment],
                        let transport = port.value.transport, draft.environment.protocols.contains(transport)
                    {
                        checkSpeaks(environments[index], port)
                    }
                }
            }
        }
    }

    private mutating func checkTarget(of permit: Permit, at mark: YAMLMark) {
        checkEnvironment(permit.environment, at: mark)
        guard let name = permit.application, environmentNames.contains(permit.environment) else { return }
        guard applicationNames.contains(name) else {
            let suggestion = nearest.find(name, in: members[permit.environment, default: []])
                .map { "\(permit.environment)/\($0)" }
            report(mark, "there is no application \(name.quoted)", suggestion: suggestion)
            return
        }
        // One that could not be read is there, but nothing more is known of it.
        guard let index = applicationIndices[name] else { return }
        let draft = applications[index]
        guard draft.application.environment == permit.environment else {
            guard draft.environmentMark != nil, environmentNames.contains(draft.application.environment) else { return }
            report(
                mark,
                "application \(name.quoted) of line \(draft.mark.line) is in environment "
                    + "\(draft.application.environment.quoted), not in \(permit.environment.quoted)",
                suggestion: "\(draft.application.environment)/\(name)")
            return
        }
        if draft.hasAddresses, draft.application.addresses == nil {
            report(
                mark,
                "application \(name.quoted) of line \(draft.mark.line) has its address chosen (auto); a permit needs "
                    + "one that is fixed")
        }
    }

    /// Reports a permit between addresses of different families: no flow has an end in each.
    private mutating func checkFamilies(_ draft: EnvironmentDraft, _ permit: Permit, at mark: YAMLMark) {
        guard let index = environmentIndices[permit.environment], draft.hasAllAddresses,
            environments[index].hasAllAddresses
        else { return }
        var target: [AddressFamily] = environments[index].addresses.map(\.value.family)
        if let index = permit.application.flatMap({ applicationIndices[$0] }) {
            let application = applications[index]
            // Elsewhere, or with a mistake of its own, which has its message.
            guard application.application.environment == permit.environment, application.hasAddresses,
                !application.addresses.isEmpty
            else { return }
            target = application.addresses.map(\.value.family)
        }
        guard let other = target.first, let own = draft.addresses.first?.value.family,
            !draft.addresses.contains(where: { target.contains($0.value.family) })
        else { return }
        // What has no family in common has one family each.
        let name = permit.application.map { "application \($0.quoted)" } ?? "environment \(permit.environment.quoted)"
        report(
            mark,
            "the permit never matches: environment \(draft.environment.name.quoted) has \(own.name) addresses only, "
                + "\(name) \(other.name) addresses only")
    }

    private mutating func checkEnvironment(_ name: String, at mark: YAMLMark) {
        guard hasEnvironments, !environmentNames.contains(name) else { return }
        report(
            mark, "there is no environment \(name.quoted)",
            suggestion: nearest.find(name, in: environments.lazy.map(\.environment.name)))
    }

    // MARK: Applications

    private mutating func checkMembership() {
        var ranges: [Int: AddressRanges] = [:]
        for draft in applications {
            guard let mark = draft.environmentMark else { continue }
            checkEnvironment(draft.application.environment, at: mark)
            guard !draft.addresses.isEmpty, let index = environmentIndices[draft.application.environment],
                environments[index].hasAllAddresses
            else { continue }
            if ranges[index] == nil {
                ranges[index] = AddressRanges(environments[index].environment.addresses)
            }
            for address in draft.addresses where ranges[index]?.contains(address.value) == false {
                report(
                    address.mark,
                    "\("\(address.value)".quoted) of application \(draft.application.name.quoted) is outside "
                        + "environment \(draft.application.environment.quoted), line \(environments[index].mark.line)")
            }
        }
    }

    private mutating func checkAddressesAreUnique() {
        var owners: [IPAddress: Int] = [:]
        for (index, draft) in applications.enumerated() {
            for address in draft.addresses {
                if let owner = owners[address.value] {
                    report(address.mark, "\("\(address.value)".quoted) is the address of \(place(owner)) already")
                } else {
                    owners[address.value] = index
                }
            }
        }
    }

    private mutating func checkHostnamesAreUnique() {
        var owners: [String: Int] = [:]
        for (index, draft) in applications.enumerated() {
            guard let hostname = draft.application.hostname, let mark = draft.hostnameMark else { continue }
            // Names are the same whatever their case (RFC 4343).
            if let owner = owners[hostname.lowercased()] {
                report(mark, "\(hostname.quoted) is the hostname of \(place(owner)) already")
            } else {
                owners[hostname.lowercased()] = index
            }
        }
    }

    /// No cgroup is an application's twice, or lies in another application's: two policies would judge it.
    private mutating func checkCgroupsAreApart() {
        struct Item {
            /// With a slash at its end, so that what lies in it begins with it and follows it in the order of bytes.
            var path: [UInt8]
            var index: Int
            var mark: YAMLMark
        }
        let items = applications.enumerated().compactMap { index, draft -> Item? in
            guard let cgroup = draft.application.cgroup, let mark = draft.cgroupMark else { return nil }
            return Item(path: Array(cgroup.utf8) + [47], index: index, mark: mark)
        }
        let sorted = items.sorted { left, right in
            left.path == right.path ? left.mark < right.mark : left.path.lexicographicallyPrecedes(right.path)
        }
        // Those around the present one, the nearest last.
        var around: [Item] = []
        for item in sorted {
            while let last = around.last, !item.path.starts(with: last.path) {
                around.removeLast()
            }
            defer { around.append(item) }
            guard let last = around.last else { continue }
            let (later, earlier) = last.mark < item.mark ? (item, last) : (last, item)
            let path = applications[later.index].application.cgroup?.quoted ?? ""
            if later.path == earlier.path {
                report(later.mark, "\(path) is the cgroup of \(place(earlier.index)) already")
            } else {
                let word = later.path.count > earlier.path.count ? "lies in" : "holds"
                report(later.mark, "\(path) \(word) the cgroup of \(place(earlier.index))")
            }
        }
    }

    /// `application “web”, line 12`.
    private func place(_ index: Int) -> String {
        "application \(applications[index].application.name.quoted), line \(applications[index].mark.line)"
    }
}
