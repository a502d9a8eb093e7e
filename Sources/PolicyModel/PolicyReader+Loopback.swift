extension PolicyReader {
    /// What `loopback` says: the services on loopback that stay shared.
    mutating func loopback(_ node: YAMLNode) -> [SharedService] {
        let what = "a mapping with shared, a list of services such as “127.0.0.1:11211”"
        guard let fields = fields(node, expected: what, keys: ["shared"]) else { return [] }
        require("shared", in: fields, of: "loopback")
        guard let node = fields["shared"], let items = items(node, expected: SharedService.expected) else { return [] }
        // VNE_SHARED_MAX of vne_abi.h has room for the host's resolvers, too.
        if items.count > SharedService.maximumCount {
            report(node.mark, "expected at most \(SharedService.maximumCount) shared services; found \(items.count)")
        }
        var lines: [SharedService: Int] = [:]
        return items.compactMap { item in
            guard let service = sharedService(item) else { return nil }
            if let line = lines[service] {
                report(item.mark, "\("\(service)".quoted) is there twice, first at line \(line)")
                return nil
            }
            lines[service] = item.mark.line
            return service
        }
    }

    private mutating func sharedService(_ node: YAMLNode) -> SharedService? {
        guard let text = text(node, expected: SharedService.expected) else { return nil }
        guard let service = SharedService(text) else {
            expected(SharedService.expected, at: node, suggestion: SharedService.meant(by: text))
            return nil
        }
        guard IPPrefix.loopback4.contains(service.address) || service.address == .loopback6 else {
            report(node.mark, "\(text.quoted) is not on loopback; expected 127.0.0.0/8 or ::1 before the port")
            return nil
        }
        guard !PrivateLoopback.blocks.contains(service.address) else {
            report(node.mark, "\(text.quoted) is in 127.1.0.0 to 127.254.255.255, which hold private loopbacks")
            return nil
        }
        return service
    }
}

extension SharedService {
    /// How many a policy may name: the kernel half has room for these and two resolvers.
    static let maximumCount = 6

    fileprivate static let expected = "a service on loopback such as “127.0.0.1:11211” or “[::1]:5353”"

    /// The service that a text without brackets, or with a name, was meant to be.
    fileprivate static func meant(by text: String) -> String? {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let (host, port) = (text[..<colon], text[text.index(after: colon)...])
        let address = host == "localhost" ? "127.0.0.1" : host.contains(":") ? "[\(host)]" : String(host)
        return SharedService("\(address):\(port)").map { "\($0)" }
    }
}
