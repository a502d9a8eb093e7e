internal import CLinux

/// Builds one netlink request: header, family header, attributes. Lengths and padding follow from what is appended.
///
/// Numbers are in host byte order, as netlink has them; what a protocol wants in network order is appended as bytes.
struct NetlinkMessage {
    private var bytes: [UInt8] = []

    /// A request of this type; NLM_F_REQUEST is added to the flags.
    init(type: Int, flags: Int32) {
        append(UInt32(0))
        append(UInt16(type))
        append(UInt16(NLM_F_REQUEST | flags))
        append(UInt32(0))
        append(UInt32(0))
    }

    /// Appends a number of the family header.
    mutating func append(_ value: some FixedWidthInteger) {
        append(value.nativeBytes)
    }

    /// Appends raw bytes of the family header.
    mutating func append(_ more: [UInt8]) {
        bytes += more
    }

    /// Appends an attribute and the padding after it.
    mutating func attribute(_ type: Int, _ payload: [UInt8]) {
        append(UInt16(4 + payload.count))
        append(UInt16(type))
        bytes += payload
        while bytes.count % 4 != 0 { bytes.append(0) }
    }

    /// Appends a string attribute with its terminating zero.
    mutating func attribute(_ type: Int, string: String) {
        attribute(type, Array(string.utf8) + [0])
    }

    /// Appends an attribute that holds attributes.
    mutating func attribute(_ type: Int, nested build: (inout NetlinkMessage) -> Void) {
        let start = bytes.count
        append(UInt16(0))
        append(UInt16(type))
        build(&self)
        bytes.replaceSubrange(start..<start + 2, with: UInt16(bytes.count - start).nativeBytes)
    }

    /// The message as it is sent: with its length and this sequence number in the header.
    func bytes(sequence: UInt32) -> [UInt8] {
        var result = bytes
        result.replaceSubrange(0..<4, with: UInt32(bytes.count).nativeBytes)
        result.replaceSubrange(8..<12, with: sequence.nativeBytes)
        return result
    }
}

extension FixedWidthInteger {
    /// The number's bytes in host byte order.
    var nativeBytes: [UInt8] {
        #if _endian(little)
            (0..<Self.bitWidth / 8).map { UInt8(truncatingIfNeeded: self >> ($0 * 8)) }
        #else
            (0..<Self.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: self >> ($0 * 8)) }
        #endif
    }
}
