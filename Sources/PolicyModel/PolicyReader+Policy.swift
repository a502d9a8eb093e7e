extension PolicyReader {
    private static let policyKeys = [
        "addressSpace", "addressSpaceInterfaces", "interface", "resolveHostnames", "environments", "applications",
        "loopback", "guard",
    ]

    /// The whole file; nil if it is none at all. What it returns is valid only if no error was reported.
    mutating func policy(_ root: YAMLNode?, source: String) -> Policy? {
        let what = "a policy: a mapping with addressSpace and environments"
        guard let root else {
            // A text that is no YAML was reported as such; one without any document was not.
            if errors.isEmpty {
                report(YAMLMark(line: 1, column: 1), "expected \(what); found nothing")
            }
            return nil
        }
        guard let fields = fields(root, expected: what, keys: Self.policyKeys) else { return nil }
        require("addressSpace", in: fields, of: "the policy")
        require("environments", in: fields, of: "the policy")

        let space = fields["addressSpace"].flatMap { addressSpace($0) }
        let interfaces = fields["addressSpaceInterfaces"].map { self.interfaces($0) } ?? []
        let interface = fields["interface"].flatMap { self.interface($0) }
        let hostnames = fields["resolveHostnames"].flatMap { resolvedHostnames($0) } ?? .attached
        let shared = fields["loopback"].map { loopback($0) } ?? []

        let (environments, applications) = members(
            environments: fields["environments"], applications: fields["applications"], space: space,
            mayLackEnvironments: false)
        let guardLine = fields.marks["guard"]?.line ?? 0
        let hostGuard = fields["guard"].flatMap {
            self.hostGuard($0, line: guardLine, space: space, applications: applications)
        }

        return Policy(
            addressSpace: (space ?? []).map(\.value), addressSpaceInterfaces: interfaces,
            interface: interface, hostnames: hostnames,
            environments: environments.map(\.environment), applications: applications.map(\.application),
            loopbackShared: shared, hostGuard: hostGuard, source: source)
    }

    /// Environments and applications, which are checked with each other and with the address space.
    /// - Parameters:
    ///   - environments: nil where the file has none.
    ///   - applications: nil where the file has none.
    ///   - space: nil if some of it could not be read.
    ///   - mayLackEnvironments: a file without environments is no mistake in itself, so that whoever refers to one has
    ///     made it.
    mutating func members(
        environments: YAMLNode?, applications: YAMLNode?, space: [Marked<IPPrefix>]?, mayLackEnvironments: Bool
    ) -> (environments: [EnvironmentDraft], applications: [ApplicationDraft]) {
        // Every name that the file gives, so that a mistake inside an environment is not an unknown name elsewhere.
        var environmentNames: Set<String> = []
        let environmentDrafts = drafts(environments, expected: "environments by name", names: &environmentNames) {
            $0.environment($1, $2)
        }
        var applicationNames: Set<String> = []
        let applicationDrafts = drafts(applications, expected: "applications by name", names: &applicationNames) {
            $0.application($1, $2)
        }
        var checks = PolicyChecks(
            space: space, environments: environmentDrafts, environmentNames: environmentNames,
            applications: applicationDrafts, applicationNames: applicationNames,
            hasEnvironments: environments != nil || mayLackEnvironments)
        checks.nearest = nearest
        checks.run()
        errors += checks.errors
        return (environmentDrafts, applicationDrafts)
    }

    private mutating func drafts<Draft>(
        _ node: YAMLNode?, expected what: String, names: inout Set<String>,
        read: (inout Self, Marked<String>, YAMLNode) -> Draft?
    ) -> [Draft] {
        guard let entries = node.flatMap({ entries($0, expected: what) }) else { return [] }
        var drafts: [Draft] = []
        for (key, value) in entries {
            names.insert(key.value)
            let isName = name(YAMLNode(content: .scalar(key.value, plain: true), mark: key.mark)) != nil
            if let draft = read(&self, key, value), isName { drafts.append(draft) }
        }
        return drafts
    }

    private mutating func resolvedHostnames(_ node: YAMLNode) -> ResolvedHostnames? {
        if case .scalar("all", _) = node.content { return .all }
        return flag(node, expected: "true, false or all").map { $0 ? .attached : .none }
    }
}
