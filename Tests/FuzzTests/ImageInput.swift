import PolicyModel
import TestSupport
import VNEPrograms

@testable import VNEBPF

/// Bytes as a policy image. What can't be read is refused; what is read is read the same way twice.
struct ImageInput {
    private let words: [UInt32]
    /// Pages from here on are all as the last one, so that a short input has the pages of a root.
    private let repeated: Int

    private static let most = 1024

    /// The first byte says what the others are: changes of a compiled image, eight bytes each, or an image from its first
    /// page on.
    init(_ bytes: [UInt8]) {
        var input = ByteReader(bytes)
        let kind = input.number(UInt8.self)
        let size = Int(VNE_PAGE_WORDS)
        guard kind & 1 != 0 else {
            var words = Self.samples[Int(kind >> 1) % Self.samples.count]
            while !input.rest.isEmpty {
                let page = Int(input.number(UInt16.self) % 512)
                let word = Int(input.number(UInt16.self)) % size
                let value = input.number(UInt32.self)
                guard page * size + word < words.count else { continue }
                words[page * size + word] = value
            }
            self.words = words
            repeated = 0
            return
        }
        var words: [UInt32] = []
        while !input.rest.isEmpty { words.append(input.number(UInt32.self)) }
        words += [UInt32](repeating: 0, count: (size - words.count % size) % size + (words.isEmpty ? size : 0))
        words[0] = UInt32(VNE_IMAGE_MAGIC)
        words[1] = UInt32(VNE_ABI_VERSION)
        self.words = words
        repeated = kind & 2 == 0 ? 0 : Self.most
    }

    /// Small images that a compiler wrote.
    private static let samples: [[UInt32]] = (UInt64(0)..<4).map { seed in
        var random = RandomPolicies(seed: seed)
        let image = try? PolicyImage(compiling: random.policy(), text: "sample", host: random.host())
        return image?.words ?? []
    }

    private func page(_ number: UInt32) -> [UInt32]? {
        let size = Int(VNE_PAGE_WORDS)
        let pages = words.count / size
        guard number < max(pages, repeated) else { return nil }
        let start = min(Int(number), pages - 1) * size
        return Array(words[start..<start + size])
    }

    func check() throws {
        let opened = attempt { () throws(BPFError) in
            try PolicyImageReader { (number) throws(BPFError) in page(number) }
        }
        guard let image = opened else { return }
        _ = (image.generation, image.pageCount, image.environmentCount, image.flowsOpen, image.flowFloor, image.source)
        _ = (image.interfaces, image.sharedServices)
        _ = attempt(image.text)
        let environments = attempt(image.environments) ?? []
        for environment in environments.prefix(16) {
            _ = attempt { () throws(BPFError) in try image.environment(named: environment.name) }
            for address in Self.addresses {
                _ = attempt { () throws(BPFError) in try image.allows(environment.remoteIn, address, .tcp, 80) }
                _ = attempt { () throws(BPFError) in try image.allows(environment.remoteOut, address, .ping, 0) }
                _ = attempt { () throws(BPFError) in
                    try image.permits(from: environment.id, to: environment.id ^ 1, at: address, .udp, 53)
                }
            }
        }
        for address in Self.addresses { _ = attempt { () throws(BPFError) in try image.owner(of: address) } }
        for comparison in attempt(image.comparisons) ?? [] {
            _ = (comparison.prefix, comparison.matched, comparison.otherwise)
        }
        for permit in (attempt(image.permits) ?? []).prefix(256) {
            _ = attempt { () throws(BPFError) in try image.list(permit.list) }
        }
        try checkRanges(of: image)
    }

    private func checkRanges(of image: PolicyImageReader) throws {
        guard let ranges = attempt(image.ownedRanges) else { return }
        for range in ranges.prefix(64) {
            for address in [range.addresses.lowerBound, range.addresses.upperBound] {
                guard let owner = attempt({ () throws(BPFError) in try image.owner(of: address) }) else { continue }
                try require(owner, equals: range.owner, "the owner of \(address), which is in \(range)")
            }
        }
    }

    /// What was read; nil if it was refused, in one line.
    private func attempt<Value>(_ read: () throws(BPFError) -> Value) -> Value? {
        do {
            return try read()
        } catch {
            _ = error.description
            return nil
        }
    }

    private static let addresses = [
        "0.0.0.0", "10.10.0.1", "10.10.1.2", "127.0.0.1", "192.0.2.1", "255.255.255.255", "::", "::1", "fd0a:10::1",
        "fd0a:10:2::2", "2001:db8::1", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ].compactMap { IPAddress($0) }
}
