/// An application of the file, with the places that checks between parts need.
struct ApplicationDraft {
    var application: Application
    var mark: YAMLMark
    var environmentMark: YAMLMark?
    /// Those that could be read.
    var addresses: [Marked<IPAddress>] = []
    /// Whether all of them could, be it `auto`.
    var hasAddresses = false
    var hostnameMark: YAMLMark?
    var cgroupMark: YAMLMark?
}

extension PolicyReader {
    private static let applicationKeys = ["environment", "address", "hostname", "cgroup"]

    /// The application of a name; nil only if it is no mapping.
    mutating func application(_ name: Marked<String>, _ node: YAMLNode) -> ApplicationDraft? {
        guard
            let fields = fields(
                node, expected: "an application: a mapping with environment and address", keys: Self.applicationKeys)
        else { return nil }
        let what = "application \(name.value.quoted)"
        require("environment", in: fields, of: what, at: name.mark)
        require("address", in: fields, of: what, at: name.mark)
        var draft = ApplicationDraft(
            application: Application(name: name.value, environment: "", addresses: nil, line: name.mark.line),
            mark: name.mark)
        if let node = fields["environment"], let environment = text(node, expected: "an environment") {
            draft.application.environment = environment
            draft.environmentMark = node.mark
        }
        if let node = fields["address"] {
            applicationAddresses(node, into: &draft)
        }
        if let node = fields["hostname"], let hostname = hostname(node) {
            draft.application.hostname = hostname
            draft.hostnameMark = node.mark
        }
        if let node = fields["cgroup"], let cgroup = cgroup(node) {
            draft.application.cgroup = cgroup
            draft.cgroupMark = node.mark
        }
        return draft
    }

    /// One address of each family at most, or `auto`.
    private mutating func applicationAddresses(_ node: YAMLNode, into draft: inout ApplicationDraft) {
        let what = "an address, one of each family, or auto"
        guard let items = items(node, expected: what) else { return }
        if items.count == 1, case .scalar("auto", _)? = items.first?.content {
            draft.hasAddresses = true
            return
        }
        for item in items {
            guard let text = text(item, expected: what) else { continue }
            guard text != "auto" else {
                report(item.mark, "“auto” stands alone: it chooses an address in each family of the environment")
                continue
            }
            guard let address = address(text, at: item, expected: what) else { continue }
            let family = address.value.family
            guard let first = draft.addresses.first(where: { $0.value.family == family }) else {
                draft.addresses.append(address)
                continue
            }
            report(
                item.mark,
                "an application has one address of each family; \("\(address.value)".quoted) is a second "
                    + "\(family.name) address besides \("\(first.value)".quoted)")
        }
        draft.hasAddresses = draft.addresses.count == items.count
        draft.application.addresses = ApplicationAddresses(draft.addresses.lazy.map(\.value))
    }

    /// A hostname (RFC 1123): labels of letters, digits and inner hyphens.
    private mutating func hostname(_ node: YAMLNode) -> String? {
        guard let text = text(node, expected: "a hostname") else { return nil }
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        let isHostname =
            text.utf8.count <= 253
            && labels.allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                    && label.utf8.allSatisfy { Self.isLetterOrDigit($0) || $0 == 45 }
            }
            // What ends with a number is read as an address by many programs.
            && labels.last?.utf8.allSatisfy { (48...57).contains($0) } == false
        guard isHostname else {
            let suggestion = text.contains("_") ? text.split(separator: "_").joined(separator: "-") : nil
            expected(
                "a hostname: labels of letters, digits and inner hyphens, at most 253 bytes, the last one no number",
                at: node, suggestion: suggestion)
            return nil
        }
        guard labels.last?.lowercased() != "localhost" else {
            report(node.mark, "\(text.quoted) is the name of loopback, and cannot be an application's")
            return nil
        }
        return text
    }

    /// The path of a cgroup below the cgroup2 mount.
    mutating func cgroup(_ node: YAMLNode) -> String? {
        let what = "a cgroup below the cgroup2 mount, such as system.slice/nginx.service"
        guard let text = text(node, expected: what) else { return nil }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard !parts.allSatisfy({ $0.isEmpty || $0 == "." }) else {
            report(node.mark, "\(text.quoted) is the root cgroup, which is never an application; expected \(what)")
            return nil
        }
        guard !parts.contains("..") else {
            report(node.mark, "\(text.quoted) leads upwards; expected \(what)")
            return nil
        }
        guard !parts.contains("."), !parts.contains("") else {
            let path = parts.filter { !$0.isEmpty && $0 != "." }.joined(separator: "/")
            let mount = "sys/fs/cgroup/"
            let suggestion = path.hasPrefix(mount) ? String(path.dropFirst(mount.count)) : path
            expected(what, at: node, suggestion: suggestion)
            return nil
        }
        // VNE_CGROUP_PATH_MAX of vne_abi.h, and NAME_MAX.
        guard text.utf8.count <= 1023, parts.allSatisfy({ $0.utf8.count <= 255 }) else {
            report(node.mark, "the path is too long: at most 1023 bytes, and 255 between slashes")
            return nil
        }
        guard text.utf8.allSatisfy({ $0 >= 32 && $0 != 127 }) else {
            report(node.mark, "\(text.quoted) has a control character; expected \(what)")
            return nil
        }
        return text
    }
}
