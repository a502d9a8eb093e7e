import PolicyModel

/// What an armour has inside.
public enum ArmourKind: String, CaseIterable, Hashable, Sendable, CustomStringConvertible {
    case sealedTopology = "VNE SEALED TOPOLOGY"
    case sealedKeyset = "VNE SEALED KEYSET"
    /// The plain text of a sealed keyset.
    case keyset = "VNE KEYSET"
    case credential = "VNE CREDENTIAL"
    case roster = "VNE ROSTER"
    case invitation = "VNE INVITATION"

    /// The first line.
    public var beginning: String { "-----BEGIN \(rawValue)-----" }
    /// The last line.
    public var end: String { "-----END \(rawValue)-----" }
    /// With its article.
    public var description: String {
        switch self {
        case .sealedTopology: "a sealed topology"
        case .sealedKeyset: "a sealed keyset"
        case .keyset: "a keyset that is not sealed"
        case .credential: "a credential"
        case .roster: "a roster"
        case .invitation: "an invitation"
        }
    }
}

/// A text that can be mailed: fields that a person reads, and bytes in base64 (RFC 4648, section 4).
///
/// ```text
/// -----BEGIN VNE CREDENTIAL-----
/// Format: 1
/// Network: acme
///
/// aGVsbG8=
/// -----END VNE CREDENTIAL-----
/// ```
///
/// There is one way to write each. What was written otherwise is damaged, but for lines that mail ended with CR LF.
struct Armour: Sendable {
    /// What a reader of this version knows.
    static let format = 1
    /// More than the topology of a thousand nodes needs, in bytes of the text.
    static let maximumBytes = 16 << 20
    /// Characters of base64 a line; 48 bytes.
    private static let width = 64

    var kind: ArmourKind
    /// Names and values: printable ASCII.
    var fields: [(name: String, value: String)]
    var body: [UInt8]

    /// From the first line to the empty one: what a signature covers before the bytes.
    var header: String {
        var lines = [kind.beginning, "Format: \(Self.format)"]
        lines += fields.map { "\($0.name): \($0.value)" }
        return lines.joined(separator: "\n") + "\n\n"
    }

    /// The whole text, which ends with a line feed.
    var text: String { header + Self.wrapped(body) + kind.end + "\n" }

    private static func wrapped(_ bytes: [UInt8]) -> String {
        let digits = Array(Base64.text(bytes).utf8)
        return stride(from: 0, to: digits.count, by: width).map { start in
            String(decoding: digits[start..<min(start + width, digits.count)], as: UTF8.self) + "\n"
        }
        .joined()
    }
}

/// Reads armours, one after the other.
struct ArmourReader {
    private var lines: ArraySlice<String>

    init(_ bytes: [UInt8]) throws(KeysError) {
        guard !bytes.isEmpty else { throw .empty }
        guard bytes.count <= Armour.maximumBytes else { throw .tooLong(limit: Armour.maximumBytes) }
        var plain: [UInt8] = []
        plain.reserveCapacity(bytes.count)
        for byte in bytes {
            if byte == UInt8(ascii: "\n"), plain.last == UInt8(ascii: "\r") { plain.removeLast() }
            plain.append(byte)
        }
        // What is no UTF-8 is no ASCII either, and so no line that anybody wrote.
        lines =
            plain.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }[...]
    }

    /// Whether all was read: a text ends with a line feed, and nothing is behind that.
    var isAtEnd: Bool { lines.count == 1 && lines.first == "" }

    /// The one armour of a text.
    static func only(_ kind: ArmourKind, in bytes: [UInt8]) throws(KeysError) -> Armour {
        var reader = try ArmourReader(bytes)
        let armour = try reader.next(kind)
        try reader.finish(behind: kind)
        return armour
    }

    /// Nothing may be left.
    func finish(behind kind: ArmourKind) throws(KeysError) {
        guard !isAtEnd else { return }
        guard !lines.isEmpty else { throw .truncated(kind) }
        throw .damaged(line: lines.startIndex + 1, expected: "nothing behind “\(kind.end)”")
    }

    /// The armour that comes next.
    mutating func next(_ kind: ArmourKind) throws(KeysError) -> Armour {
        let beginning = lines.first ?? ""
        guard beginning == kind.beginning else {
            if lines.count <= 1, kind.beginning.hasPrefix(beginning) { throw .truncated(kind) }
            throw .foreign(expected: kind, found: ArmourKind.allCases.first { $0.beginning == beginning })
        }
        // A later format may have other lines, so that this comes before all of them.
        let second = lines.dropFirst().first ?? ""
        let format = second.dropFirst("Format: ".count)
        if second.hasPrefix("Format: "), lines.count > 2, Armour.isNumber(format), format != "\(Armour.format)" {
            throw .format(String(format.prefix(20)))
        }
        guard let end = lines.firstIndex(of: kind.end) else { throw .truncated(kind) }
        guard let gap = lines[..<end].firstIndex(of: "") else {
            throw .damaged(line: end + 1, expected: "an empty line before the bytes")
        }
        var armour = Armour(kind: kind, fields: [], body: [])
        for line in lines[..<gap].dropFirst(2) {
            let name = line.prefix { $0 != ":" }
            armour.fields.append((String(name), String(line.dropFirst(name.count + 2))))
        }
        armour.body = Base64.bytes(lines[(gap + 1)..<end].joined()) ?? []
        try hold(armour, to: lines[...end])
        lines = lines[(end + 1)...]
        return armour
    }

    /// Whether an armour is written as it was read.
    private func hold(_ armour: Armour, to read: ArraySlice<String>) throws(KeysError) {
        let written = armour.text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in read.enumerated() {
            let isPrintable = line.utf8.allSatisfy { (0x20...0x7e).contains($0) }
            guard isPrintable, index < written.count, line.utf8.elementsEqual(written[index]) else {
                let isHeader = index < armour.fields.count + 2
                throw .damaged(
                    line: read.startIndex + index + 1,
                    expected: isHeader ? "a field such as “Format: 1”" : "base64, 64 characters a line")
            }
        }
    }
}

extension Armour {
    /// Decimal, without leading zeros.
    static func isNumber(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) } && (text == "0" || !text.hasPrefix("0"))
    }

    /// The values of the fields, in their one order.
    struct Values {
        private let fields: [(name: String, value: String)]
        private var index = 0

        /// 2^53 - 1: what JSON's readers take, and far from what a counter reaches.
        private static let largest: UInt64 = 1 << 53 - 1

        init(_ armour: Armour) {
            fields = armour.fields
        }

        /// The name of the field that comes next.
        var next: String? { index < fields.count ? fields[index].name : nil }

        /// What the value of a field means; nothing but that is taken.
        mutating func take<Value>(
            _ name: String, _ expected: String, _ meaning: (String) -> Value?
        ) throws(KeysError) -> Value {
            guard next == name, let value = meaning(fields[index].value) else {
                throw damaged("“\(name): ” and \(expected)")
            }
            index += 1
            return value
        }

        mutating func number(_ name: String) throws(KeysError) -> UInt64 {
            try take(name, "a number") { text in
                guard Armour.isNumber(text), let number = UInt64(text), number <= Self.largest else { return nil }
                return number
            }
        }

        mutating func name(_ name: String) throws(KeysError) -> String {
            try take(name, "a name") { $0.isName ? $0 : nil }
        }

        mutating func authority() throws(KeysError) -> AuthorityKey {
            try take("Authority", "a public key") { AuthorityKey($0) }
        }

        mutating func time(_ name: String) throws(KeysError) -> Timestamp {
            try take(name, "a time such as 2026-01-31T12:00:00Z") { Timestamp($0) }
        }

        /// No field may be left.
        func finish() throws(KeysError) {
            guard index == fields.count else { throw damaged("an empty line") }
        }

        /// The field that comes next is wrong. Two lines are before the first.
        func damaged(_ expected: String) -> KeysError { .damaged(line: index + 3, expected: expected) }
    }
}
