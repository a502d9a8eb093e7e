/// A public key of WireGuard: 32 bytes, written in base64.
public struct WireGuardKey: Hashable, Sendable, CustomStringConvertible {
    /// As `wg pubkey` prints it.
    public let description: String

    /// A key from its text; nil if it is none.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        // 32 bytes are 43 characters and a sign for the missing byte, and the last character has two bits that are 0.
        guard bytes.count == 44, bytes[43] == UInt8(ascii: "="), bytes.dropLast().allSatisfy(Self.isDigit),
            "AEIMQUYcgkosw048".utf8.contains(bytes[42])
        else { return nil }
        description = text
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 43 || byte == 47
    }
}
