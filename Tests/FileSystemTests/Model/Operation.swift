import FileSystem
import Glibc
import SystemPackage

typealias Name = [UInt8]
/// A file of any type, in the order in which they were made: the same number in the model, the engine and the real directory.
typealias Node = Int

/// One operation of a random test. Nodes are those of the model.
enum Operation {
    case makeNode(Node, Name, InodeType, mode: UInt32)
    case makeDirectory(Node, Name, mode: UInt32)
    case makeSymbolicLink(Node, Name, target: [UInt8])
    case makeUnnamed(Node, mode: UInt32)
    case lookup(Node, Name)
    case unlink(Node, Name)
    case removeDirectory(Node, Name)
    case rename(Node, Name, Node, Name, RenameFlags)
    case link(Node, Node, Name)
    case open(Node)
    case close(Node)
    case status(Node)
    case changeMode(Node, UInt32)
    case truncate(Node, UInt64)
    case write(Node, UInt64, [UInt8])
    case read(Node, UInt64, Int)
    case readLink(Node)
    case allocate(Node, UInt64, UInt64, AllocationMode)
    case copy(Node, UInt64, Node, UInt64, UInt64)
    case setXattr(Node, Name, [UInt8], ExtendedAttributeMode)
    case xattr(Node, Name)
    case removeXattr(Node, Name)
    case listXattrs(Node)
    case list(Node)
}

extension Operation {
    /// Whether a node can come or go by it.
    var changesNames: Bool {
        switch self {
        case .makeNode, .makeDirectory, .makeSymbolicLink, .makeUnnamed, .unlink, .removeDirectory, .rename, .link, .open, .close: true
        default: false
        }
    }
}

/// What an operation gave; the same of all who ran it.
enum Outcome: Equatable {
    case done
    case node(Status)
    case bytes([UInt8])
    case count(UInt64)
    case names([Name])
    case entries([Entry])
    case failed(Errno)

    struct Entry: Equatable {
        var name: Name
        var type: InodeType
    }

    static func == (a: Outcome, b: Outcome) -> Bool {
        switch (a, b) {
        case (.done, .done): true
        case (.node(let a), .node(let b)): a == b
        case (.bytes(let a), .bytes(let b)): areEqual(a, b)
        case (.count(let a), .count(let b)): a == b
        case (.names(let a), .names(let b)): a == b
        case (.entries(let a), .entries(let b)): a == b
        case (.failed(let a), .failed(let b)): a == b
        default: false
        }
    }
}

/// memcmp: debug builds compare arrays byte by byte.
func areEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.count == b.count && memcmp(a, b, a.count) == 0 }

func isZero(_ bytes: ArraySlice<UInt8>) -> Bool { areEqual(Array(bytes), [UInt8](repeating: 0, count: bytes.count)) }

struct Status: Equatable {
    var type: InodeType
    var permissions: UInt32
    var linkCount: UInt32
    /// 0 for a directory.
    var sizeBytes: UInt64
}
