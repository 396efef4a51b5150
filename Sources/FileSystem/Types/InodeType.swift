/// The type of a file, with the numbers of `DT_*`, which are `S_IFMT >> 12`; part of the format (dirent records).
public enum InodeType: UInt8, Sendable, CaseIterable {
    case fifo = 1
    case characterDevice = 2
    case directory = 4
    case blockDevice = 6
    case regular = 8
    case symbolicLink = 10
    case socket = 12

    /// The type in the upper bits of `st_mode`; nil if they name none.
    @inlinable
    public init?(mode: UInt32) { self.init(rawValue: UInt8(truncatingIfNeeded: (mode & 0o170000) >> 12)) }

    /// The bits of `st_mode`.
    @inlinable public var modeBits: UInt32 { UInt32(rawValue) << 12 }
}

/// Bits of `st_mode`, as Linux has them.
public enum Mode {
    public static let typeMask: UInt32 = 0o170000
    public static let permissionMask: UInt32 = 0o7777
    public static let setUserID: UInt32 = 0o4000
    public static let setGroupID: UInt32 = 0o2000
    public static let groupExecute: UInt32 = 0o010
}
