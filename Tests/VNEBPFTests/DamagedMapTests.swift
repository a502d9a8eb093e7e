import PolicyModel
import Testing
import VNEPrograms

@testable import VNEBPF

/// Words that no program and no compiler writes, in images and in maps: what is read of them is refused or has a meaning,
/// and nothing that reads them ends.
@Suite struct DamagedMapTests {
    /// Where the words of the header lie that these tests damage, and the first words of the parts that they point to.
    private enum HeaderWord {
        static let ownerPage = 4
        static let owner6 = 5
        static let environmentPage = 7
        static let environmentCount = 8
        static let nameCount = 10
        static let permitPage = 11
        static let textPage = 15
        static let textLength = 16
    }

    private func image() throws -> PolicyImage {
        let shop = Environment(
            name: "shop", addresses: [prefix("10.10.2.0/24"), prefix("fd00:2::/64")],
            permits: [Permit(to: "payments", ports: [PortRule(.tcp, 5432...5432)])])
        let payments = Environment(name: "payments", addresses: [prefix("10.10.3.0/24")])
        let policy = Policy(
            addressSpace: [prefix("10.10.0.0/16"), prefix("fd00::/16")], environments: [shop, payments],
            source: "policy.yaml")
        return try PolicyImage(compiling: policy, text: "text", host: HostView())
    }

    @Test(arguments: [UInt32.max, UInt32.max - 255, 1 << 28, 1 << 24])
    func `an owner table that no entry can lead to is refused`(page: UInt32) throws {
        var image = try image()
        image.words[HeaderWord.ownerPage] = page
        #expect(throws: BPFError.self) { try PolicyImageReader(image) }
    }

    @Test func `a text that is longer than its pages is refused`() throws {
        var image = try image()
        image.words[HeaderWord.textLength] = .max
        let reader = try PolicyImageReader(image)
        #expect(throws: BPFError.self) { try reader.text() }
    }

    @Test func `records beyond the last page that there can be are refused`() throws {
        var image = try image()
        image.words[HeaderWord.environmentPage] = .max
        image.words[HeaderWord.environmentCount] = .max
        image.words[HeaderWord.nameCount] = .max
        image.words[HeaderWord.permitPage] = .max
        let reader = try PolicyImageReader(image)
        #expect(throws: BPFError.self) { try reader.environment(id: 4) }
        #expect(throws: BPFError.self) { try reader.environment(named: "shop") }
        #expect(throws: BPFError.self) { try reader.permits(from: 0, to: 1, at: address("10.10.3.1"), .tcp, 5432) }
    }

    @Test(arguments: [UInt32.max, UInt32.max - 63, 1 << 28])
    func `a permit to a list of rules beyond the greatest is refused`(list: UInt32) throws {
        let reader = try PolicyImageReader(try image())
        #expect(throws: BPFError.self) { try reader.list(list) }
    }

    @Test func `an IPv4 page that two entries lead to is refused, so that a walk ends`() throws {
        var image = try image()
        // 10.10.2.0/24 has its page; now 10.11.0.0 to 10.13.255.255 have it too.
        let root = Int(image.words[HeaderWord.ownerPage]) * 256
        let entry = image.words[root + 10 << 8 + 10]
        #expect(entry >> 28 == 10)
        for second in 11...13 { image.words[root + 10 << 8 + second] = entry }
        let reader = try PolicyImageReader(image)
        #expect(throws: BPFError.self) { try reader.ownedRanges() }
    }

    @Test func `a tree that says something else of every address is refused`() throws {
        var image = try image()
        // Sixteen pages, each of which leads to the next one with all of its words.
        let first = UInt32(image.pageCount)
        for byte in UInt32(0)..<16 {
            image.words += (UInt32(0)..<256).map { value in
                byte == 15 ? UInt32(6 + value % 2) << 28 : 10 << 28 | (byte + 1) << 24 | (first + byte + 1)
            }
        }
        image.words[HeaderWord.owner6] = 10 << 28 | first
        let reader = try PolicyImageReader(image)
        #expect(throws: BPFError.self) { try reader.runs(of: AddressEntry(rawValue: 10 << 28 | first), most: 1000) }
        #expect(try reader.owner(of: address("fd00::1")) == .environment(0, reserved: false))
    }

    @Test func `counters that together pass the greatest number begin anew`() {
        let words = [UInt64](repeating: .max, count: MemoryLayout<vne_counters>.size / 8)
        let bytes = (words + words).flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
        let counters = Instance.counters(of: bytes)
        #expect(counters.verdicts[.connect]?[.permit] == UInt64.max - 1)
        #expect(counters.audited[.ingress] == UInt64.max - 1)
        // Their sums do as well.
        _ = (counters.allowed, counters.denied)
    }

    @Test func `a private loopback at the end of all addresses has its own ones`() {
        var record = vne_application()
        record.state = UInt32(VNE_APPLICATION_ATTACHED)
        record.address4 = 0x0a0a_0201
        record.loopback4 = .max
        let application = ApplicationRecord.application(of: record, cgroupID: 7)
        #expect(application.loopback.localhosts.first == address("255.255.255.1"))
    }
}
