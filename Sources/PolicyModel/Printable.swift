extension String {
    /// The text without what a terminal would obey: control characters, which a tenant can put into its command's name,
    /// become `\\u{1b}`.
    public var printable: String {
        guard unicodeScalars.contains(where: \.isControl) else { return self }
        var safe = ""
        for scalar in unicodeScalars {
            if scalar.isControl {
                safe += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                safe.unicodeScalars.append(scalar)
            }
        }
        return safe
    }
}

extension Unicode.Scalar {
    /// C0, DEL and C1, and the marks that reorder text.
    fileprivate var isControl: Bool {
        value < 0x20 || (0x7f...0x9f).contains(value) || (0x200e...0x200f).contains(value)
            || (0x202a...0x202e).contains(value) || (0x2066...0x2069).contains(value)
    }
}
