import PolicyModel
import TestSupport
import Testing

@testable import VNEBPF

extension PolicyImage.Builder {
    /// A builder of nothing but trees.
    static var ofTrees: Self {
        Self(policy: Policy(addressSpace: [], environments: []), host: HostView(), ids: [:])
    }

    /// The tree of strokes over entry 0.
    mutating func tree(of strokes: [AddressRuns.Stroke]) throws -> AddressEntry {
        try tree(AddressRuns(over: AddressEntry(rawValue: 0), painting: strokes))
    }

    /// Follows a tree as the programs do; says what the address's entry is, and in how many steps it was found.
    func lookUp(_ address: UInt128, under root: AddressEntry) -> (entry: AddressEntry, steps: Int) {
        var entry = root
        var steps = 0
        while true {
            switch entry.rawValue >> 28 {
            case 10:
                let page = Int(entry.rawValue & 0xff_ffff)
                let byte = Int(entry.rawValue >> 24 & 0xf)
                let value = Int(truncatingIfNeeded: address >> UInt128(8 * (15 - byte))) & 0xff
                entry = AddressEntry(rawValue: words[page * 256 + value])
            case 11:
                let compare = compares.compares[Int(entry.rawValue & 0xfff_ffff)]
                entry = address & compare.block.mask == compare.block.first ? compare.matched : compare.otherwise
            default: return (entry, steps)
            }
            steps += 1
        }
    }

    var pageCount: Int { words.count / 256 }
}

/// Blocks with entries, and where what they say changes.
struct RandomStrokes {
    var strokes: [AddressRuns.Stroke] = []

    /// Blocks of all lengths whose networks have much in common, so that they lie in and beside each other.
    init(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let stems = (0..<3).map { _ in UInt128.random(in: 0 ... .max, using: &generator) }
        let lengths = [0, 1, 7, 8, 9, 15, 16, 20, 32, 48, 63, 64, 65, 96, 120, 127, 128]
        for _ in 0..<Int.random(in: 1...60, using: &generator) {
            let stem = stems[Int.random(in: 0..<stems.count, using: &generator)]
            let length = lengths[Int.random(in: 0..<lengths.count, using: &generator)]
            let common = lengths[Int.random(in: 0..<lengths.count, using: &generator)]
            let noise = UInt128.random(in: 0 ... .max, using: &generator)
            let address = stem & .prefixMask(common) | noise & ~UInt128.prefixMask(common)
            let entry = AddressEntry(rawValue: UInt32.random(in: 0..<4, using: &generator))
            strokes.append(AddressRuns.Stroke(block: AddressBlock(holding: address, length: length), entry: entry))
        }
    }

    /// Both sides of every edge.
    var edges: Set<UInt128> {
        Set(strokes.flatMap { [$0.block.first &- 1, $0.block.first, $0.block.last, $0.block.last &+ 1] })
    }
}

@Suite struct AddressTreeTests {
    @Test(arguments: UInt64(0)..<100)
    func `runs say what the last block over an address says`(seed: UInt64) {
        let random = RandomStrokes(seed: seed)
        let base = AddressEntry(rawValue: 9)
        let runs = AddressRuns(over: base, painting: random.strokes)
        for address in random.edges {
            let expected = random.strokes.last { $0.block.contains(address) }?.entry ?? base
            #expect(runs[address] == expected)
        }
        #expect(runs.runs.first?.first == 0)
        for (one, next) in zip(runs.runs, runs.runs.dropFirst()) {
            #expect(one.first < next.first)
            #expect(one.entry != next.entry)
        }
    }

    @Test(arguments: UInt64(0)..<100)
    func `a tree says what its runs say in few steps`(seed: UInt64) throws {
        let random = RandomStrokes(seed: seed)
        let runs = AddressRuns(over: AddressEntry(rawValue: 0), painting: random.strokes)
        var builder = PolicyImage.Builder.ofTrees
        let tree = try builder.tree(runs)
        for address in random.edges {
            let found = builder.lookUp(address, under: tree)
            #expect(found.entry == runs[address])
            #expect(found.steps <= 18)
        }
    }

    @Test func `the same runs make the same tree`() throws {
        let strokes = RandomStrokes(seed: 7).strokes
        var (one, other) = (PolicyImage.Builder.ofTrees, PolicyImage.Builder.ofTrees)
        #expect(try one.tree(of: strokes) == other.tree(of: strokes))
        #expect(one.words == other.words)
        #expect(one.compares.compares == other.compares.compares)

        // And no second one: all of it is there already.
        let size = one.words.count
        #expect(try one.tree(of: strokes) == other.tree(of: strokes))
        #expect(one.words.count == size)
    }

    @Test func `equal parts of different trees are one`() throws {
        let shared = (0..<UInt32(200)).map { number in
            AddressRuns.Stroke(
                block: AddressBlock(holding: UInt128(0x2001_0db8) << 96 | UInt128(number) << 64, length: 64),
                entry: AddressEntry(rawValue: number & 3))
        }
        let own = AddressRuns.Stroke(
            block: AddressBlock(holding: 0x3fff << 112, length: 16), entry: AddressEntry(rawValue: 2))
        var builder = PolicyImage.Builder.ofTrees
        _ = try builder.tree(of: shared)
        let size = builder.pageCount
        _ = try builder.tree(of: shared + [own])
        // A page that tells 20… from 3f…, and a comparison with the new block.
        #expect(builder.pageCount == size + 1)
        #expect(builder.compares.compares.count == 2)
    }

    @Test func `few prefixes need no page`() throws {
        let one = AddressRuns.Stroke(
            block: AddressBlock(holding: 1 << 120, length: 48), entry: AddressEntry(rawValue: 1))
        let inner = AddressRuns.Stroke(
            block: AddressBlock(holding: 1 << 120, length: 64), entry: AddressEntry(rawValue: 2))
        let other = AddressRuns.Stroke(
            block: AddressBlock(holding: .max, length: 128), entry: AddressEntry(rawValue: 3))
        var builder = PolicyImage.Builder.ofTrees
        let tree = try builder.tree(of: [one, inner, other])
        #expect(builder.pageCount == 0)
        #expect(builder.compares.compares.count == 3)
        #expect(builder.lookUp(1 << 120, under: tree).entry.rawValue == 2)
        #expect(builder.lookUp(1 << 120 | 1 << 64, under: tree).entry.rawValue == 1)
        #expect(builder.lookUp(.max, under: tree).entry.rawValue == 3)
        #expect(builder.lookUp(0, under: tree).entry.rawValue == 0)
    }

    @Test(arguments: [UInt64(0), 1, 2])
    func `prefixes of every length nested in each other stay shallow`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let address = UInt128.random(in: 0 ... .max, using: &generator)
        let strokes = (1...128).map { length in
            AddressRuns.Stroke(
                block: AddressBlock(holding: address, length: length), entry: AddressEntry(rawValue: UInt32(length)))
        }
        var builder = PolicyImage.Builder.ofTrees
        let tree = try builder.tree(of: strokes)
        #expect(builder.pageCount <= 16)
        #expect(builder.lookUp(address, under: tree).entry.rawValue == 128)
        for bit in 0..<128 {
            // Agrees in as many bits as `bit` says, and no further.
            let found = builder.lookUp(address ^ UInt128(1) << UInt128(127 - bit), under: tree)
            #expect(found.entry.rawValue == UInt32(bit))
            #expect(found.steps <= 16)
        }
    }

    @Test func `no choice of skipped bytes makes a tree deeper than the programs look`() throws {
        // A comparison and a table in turn, and a chain at the end: four blocks at every other byte.
        var strokes: [AddressRuns.Stroke] = []
        for byte in stride(from: 1, to: 16, by: 2) {
            for value in 1...UInt32(4) {
                let network = UInt128(value) << UInt128(120 - 8 * byte)
                strokes.append(
                    AddressRuns.Stroke(
                        block: AddressBlock(holding: network, length: 8 * byte + 8),
                        entry: AddressEntry(rawValue: value)))
            }
        }
        var builder = PolicyImage.Builder.ofTrees
        let tree = try builder.tree(of: strokes)
        var deepest = 0
        for stroke in strokes { deepest = max(deepest, builder.lookUp(stroke.block.first, under: tree).steps) }
        deepest = max(deepest, builder.lookUp(0, under: tree).steps)
        #expect(deepest <= 18)
        #expect(deepest >= 8)
    }

    @Test func `ten thousand networks in one prefix are a table of tables`() throws {
        let strokes = (0..<UInt32(10_000)).map { number in
            AddressRuns.Stroke(
                block: AddressBlock(holding: UInt128(0xfd00_0001_0002) << 80 | UInt128(number) << 64, length: 64),
                entry: AddressEntry(rawValue: number + 1))
        }
        var builder = PolicyImage.Builder.ofTrees
        let clock = ContinuousClock()
        var tree = AddressEntry(rawValue: 0)
        let time = try clock.measure { tree = try builder.tree(of: strokes) }
        #expect(time < .seconds(10))
        #expect(builder.pageCount <= 1 + 40)
        #expect(builder.compares.compares.count <= 1)
        for number in [0, 1, 255, 256, 9_999] as [UInt32] {
            let address = strokes[Int(number)].block.last
            let found = builder.lookUp(address, under: tree)
            #expect(found.entry.rawValue == number + 1)
            #expect(found.steps <= 3)
        }
        #expect(builder.lookUp(strokes[9_999].block.last + 1, under: tree).entry.rawValue == 0)
    }

    @Test func `twenty thousand single addresses anywhere take less than three megabytes`() throws {
        var generator = SeededGenerator(seed: 1)
        let strokes = (0..<UInt32(20_000)).map { number in
            AddressRuns.Stroke(
                block: AddressBlock(holding: .random(in: 0 ... .max, using: &generator), length: 128),
                entry: AddressEntry(rawValue: number + 1))
        }
        var builder = PolicyImage.Builder.ofTrees
        let clock = ContinuousClock()
        var tree = AddressEntry(rawValue: 0)
        let time = try clock.measure { tree = try builder.tree(of: strokes) }
        #expect(time < .seconds(30))
        #expect(builder.pageCount * 1024 + builder.compares.compares.count * 64 < 3 << 20)
        for stroke in strokes {
            let found = builder.lookUp(stroke.block.first, under: tree)
            #expect(found.entry == stroke.entry)
            #expect(found.steps <= 6)
        }
    }
}
