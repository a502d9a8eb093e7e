internal import VNEPrograms

/// An entry of an address table: `enum vne_entry_kind` in the upper four bits, an index in the others.
struct AddressEntry: Hashable {
    let rawValue: UInt32

    init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    init(_ kind: vne_entry_kind, _ index: UInt32 = 0) {
        rawValue = UInt32(kind.rawValue) << UInt32(VNE_ENTRY_SHIFT) | index
    }

    /// Leads to a page that is indexed by the byte of the address at this position, 0 being the most significant of the
    /// sixteen.
    static func table(page: UInt32, byte: Int) -> AddressEntry {
        AddressEntry(VNE_ENTRY_TABLE, UInt32(byte) << UInt32(VNE_TABLE_BYTE_SHIFT) | page)
    }

    var kind: vne_entry_kind { vne_entry_kind(rawValue: rawValue >> UInt32(VNE_ENTRY_SHIFT)) }
    var index: UInt32 { rawValue & VNE_ENTRY_INDEX_MASK }
    /// Of a table: its page.
    var tablePage: UInt32 { rawValue & VNE_TABLE_PAGE_MASK }
    /// Of a table: the position of the byte that indexes it.
    var tableByte: Int { Int(index >> UInt32(VNE_TABLE_BYTE_SHIFT)) }
}

extension AddressEntry: CustomStringConvertible {
    var description: String {
        switch kind {
        case VNE_ENTRY_REMOTE: "remote"
        case VNE_ENTRY_HOST: "host"
        case VNE_ENTRY_LOOPBACK: "loopback"
        case VNE_ENTRY_LINK_LOCAL: "link-local"
        case VNE_ENTRY_MULTICAST: "multicast"
        case VNE_ENTRY_BROADCAST: "broadcast"
        case VNE_ENTRY_UNASSIGNED: "unassigned"
        case VNE_ENTRY_ENVIRONMENT: "environment \(index)"
        case VNE_ENTRY_RESERVED: "environment \(index) reserved"
        case VNE_ENTRY_RULES: "rules \(index)"
        case VNE_ENTRY_TABLE: "table \(tablePage) byte \(tableByte)"
        case VNE_ENTRY_COMPARE: "compare \(index)"
        default: "unknown \(rawValue)"
        }
    }
}
