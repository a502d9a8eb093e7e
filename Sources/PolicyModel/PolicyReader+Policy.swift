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
        let resolvesHostnames = fields["resolveHostnames"].flatMap { flag($0) } ?? true
        let shared = fields["loopback"].map { loopback($0) } ?? []

        var environments: [EnvironmentDraft] = []
        // Every name that the file gives, so that a mistake inside an environment is not an unknown name elsewhere.
        var names: Set<String> = []
        if let node = fields["environments"] {
            for (key, value) in entries(node, expected: "environments by name") ?? [] {
                names.insert(key.value)
                let isName = name(YAMLNode(content: .scalar(key.value, plain: true), mark: key.mark)) != nil
                if let draft = environment(key, value), isName {
                    environments.append(draft)
                }
            }
        }
        var applications: [ApplicationDraft] = []
        var applicationNames: Set<String> = []
        if let node = fields["applications"] {
            for (key, value) in entries(node, expected: "applications by name") ?? [] {
                applicationNames.insert(key.value)
                let isName = name(YAMLNode(content: .scalar(key.value, plain: true), mark: key.mark)) != nil
                if let draft = application(key, value), isName {
                    applications.append(draft)
                }
            }
        }

        var checks = PolicyChecks(
            space: space, environments: environments, environmentNames: names, applications: applications,
            applicationNames: applicationNames, hasEnvironments: fields["environments"] != nil)
        checks.nearest = nearest
        checks.run()
        errors += checks.errors
        let guardLine = fields.marks["guard"]?.line ?? 0
        let hostGuard = fields["guard"].flatMap {
            self.hostGuard($0, line: guardLine, space: space, applications: applications)
        }

        return Policy(
            addressSpace: (space ?? []).map(\.value), addressSpaceInterfaces: interfaces,
            interface: interface, resolvesHostnames: resolvesHostnames,
            environments: environments.map(\.environment), applications: applications.map(\.application),
            loopbackShared: shared, hostGuard: hostGuard, source: source)
    }
}
