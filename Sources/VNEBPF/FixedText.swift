/// Text in the fixed arrays of C structures, which arrive in Swift as tuples of bytes: UTF-8, ended by a zero.
enum FixedText {
    /// The text up to the first zero, or all of it.
    static func string<Array: BitwiseCopyable>(of array: Array) -> String {
        unsafe withUnsafeBytes(of: array) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// Compares the text with UTF-8 bytes: negative if it comes before them, 0 if it is the same.
    static func compare<Array: BitwiseCopyable>(_ array: Array, with text: [UInt8]) -> Int {
        unsafe withUnsafeBytes(of: array) { bytes in
            for (index, byte) in text.enumerated() {
                let own: UInt8 = index < bytes.count ? unsafe bytes[index] : 0
                if own != byte { return own < byte ? -1 : 1 }
            }
            let isLonger = unsafe text.count < bytes.count && bytes[text.count] != 0
            return isLonger ? 1 : 0
        }
    }

    /// Writes text into an array of zeros; false, and nothing written, if it and its ending zero do not fit.
    static func write<Array: BitwiseCopyable>(_ text: String, to array: inout Array) -> Bool {
        guard text.utf8.count < MemoryLayout<Array>.size else { return false }
        unsafe withUnsafeMutableBytes(of: &array) { bytes in
            unsafe bytes.copyBytes(from: text.utf8)
        }
        return true
    }
}
