/// What reads bytes from outside, and what holds of it for any bytes. The raw value is the name of its corpus.
enum FuzzTarget: String, CaseIterable, Sendable {
    /// A policy file: read, compiled, read back and asked.
    case policy
    /// A policy image with words that no compiler writes.
    case image
    /// The values of the instance's maps.
    case maps
    /// Datagrams from the kernel.
    case netlink
    /// Addresses, prefixes, ports and endpoints as text, and files of the host.
    case text
    /// A topology file: read, and compiled for its nodes.
    case topology
    /// A sealed file or a credential: read, and opened if it is signed.
    case sealed

    /// Does with the bytes what the program does with such bytes, and checks what holds for all of them.
    func run(_ bytes: [UInt8]) throws {
        switch self {
        case .policy: try PolicyInput(bytes).check()
        case .image: try ImageInput(bytes).check()
        case .maps: try MapInput(bytes).check()
        case .netlink: try NetlinkInput(bytes).check()
        case .text: try TextInput(bytes).check()
        case .topology: try TopologyInput(bytes).check()
        case .sealed: try SealedInput(bytes).check()
        }
    }
}

/// Something that should hold for any bytes, and does not for these.
struct FuzzFailure: Error, CustomStringConvertible {
    var description: String
}

/// Throws unless the condition holds.
func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    guard condition else { throw FuzzFailure(description: message()) }
}

/// Throws unless both are the same.
func require<Value: Equatable>(_ one: Value, equals other: Value, _ what: @autoclosure () -> String) throws {
    guard one == other else { throw FuzzFailure(description: "\(what()): \(one) is not \(other)") }
}

/// Bytes that are taken from the front, one piece after the other; zero where there are none left.
struct ByteReader {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        rest = bytes[...]
    }

    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number {
        var number: Number = 0
        for index in 0..<Number.bitWidth / 8 {
            number |= Number(truncatingIfNeeded: rest.popFirst() ?? 0) << Number(truncatingIfNeeded: 8 * index)
        }
        return number
    }

    /// A C structure, or whatever else has a meaning for any bits.
    mutating func value<Value: BitwiseCopyable>(_ type: Value.Type) -> Value {
        let size = MemoryLayout<Value>.size
        var bytes = Array(rest.prefix(size))
        rest = rest.dropFirst(size)
        bytes += [UInt8](repeating: 0, count: size - bytes.count)
        return unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: Value.self) }
    }
}
