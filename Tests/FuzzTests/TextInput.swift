import Glibc
import PolicyModel
import VNEAgent

@testable import VNEHost

/// Bytes as text that a person or the system wrote.
struct TextInput {
    private let text: String
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        text = String(decoding: bytes, as: UTF8.self)
    }

    func check() throws {
        try checkAddress()
        if let prefix = IPPrefix(text) {
            try require(IPPrefix(prefix.description), equals: prefix, "\(prefix), read again")
            try require(prefix.contains(prefix.network) && prefix.contains(prefix.last), "\(prefix) holds its ends")
        }
        if let rule = PortRule(text) { try require(PortRule(rule.description), equals: rule, "\(rule), read again") }
        if let service = SharedService(text) {
            try require(SharedService(service.description), equals: service, "\(service), read again")
        }
        if let reason = Reason(name: text) { try require(reason.name, equals: text, "the name of a reason") }
        if let endpoint = Endpoint(text) { try require(!endpoint.host.isEmpty, "an endpoint without a host") }
        try require(!text.printable.unicodeScalars.contains { $0.value < 0x20 }, "a control character is printed")
        try require(ResolverConfiguration(parsing: text).nameservers.count <= 3, "more than three name servers")
        _ = ResolverConfiguration(parsing: text).sharedServices
        _ = MountTable(parsing: text)
        _ = ProcessEntry.startTime(parsing: text)
        // What is not the instance's stays as it is, whatever it is.
        let hosts = HostsFile(path: "", instance: "fuzz")
        let once = hosts.merged(bytes, [])
        try require(hosts.merged(once.text, []).text, equals: once.text, "a hosts file without names, again")
        var nearest = NearestWord()
        _ = nearest.find(text, in: TransportProtocol.allCases.map(\.rawValue))
    }

    /// As the C library reads it, which is the other reader that a host's programs have.
    private func checkAddress() throws {
        let address = IPAddress(text)
        if let address { try require(IPAddress(address.description), equals: address, "\(address), read again") }
        guard !bytes.contains(0) else {
            try require(address == nil, "an address with a zero byte")
            return
        }
        var network = [UInt8](repeating: 0, count: 16)
        let characters = bytes.map { CChar(bitPattern: $0) } + [0]
        let family = bytes.contains(UInt8(ascii: ":")) ? AF_INET6 : AF_INET
        let isAddress = unsafe network.withUnsafeMutableBytes { buffer in
            unsafe inet_pton(family, characters, buffer.baseAddress) == 1
        }
        let other = isAddress ? IPAddress(networkBytes: network.prefix(family == AF_INET ? 4 : 16)) : nil
        try require(address, equals: other, "\(text), and as inet_pton has it")
    }
}
