internal import PolicyModel

/// The name servers of a resolv.conf(5) that programs of this host ask.
struct ResolverConfiguration: Hashable {
    /// Their addresses, in the order of the file. As the C library does, only the first three lines count. One with a
    /// zone is left out: it is no loopback address.
    var nameservers: [IPAddress]

    /// Reads the text of a resolv.conf.
    init(parsing text: String) {
        let servers = text.split(whereSeparator: \.isNewline).compactMap { line -> Substring? in
            // The keyword must start the line, says the manual; a comment starts with # or ;.
            guard line.hasPrefix("nameserver") else { return nil }
            let rest = line.dropFirst("nameserver".count)
            guard rest.first == " " || rest.first == "\t" else { return nil }
            return rest.split(whereSeparator: { $0 == " " || $0 == "\t" }).first
        }
        nameservers = servers.prefix(3).compactMap { IPAddress($0) }
    }

    /// Port 53 of those on loopback: what stays shared between applications. Each once.
    var sharedServices: [SharedService] {
        var services: [SharedService] = []
        for server in nameservers where server.isLoopback {
            let service = SharedService(address: server, port: 53)
            if !services.contains(service) { services.append(service) }
        }
        return services
    }
}
