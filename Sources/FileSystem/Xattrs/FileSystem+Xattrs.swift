import MetadataStore
import Records
public import SystemPackage

/// Names of attributes that mean something to the file system itself.
enum KnownXattr {
    static let capability: StaticString = "security.capability"
    static let trustedPrefix = "trusted."

    static func bytes(_ name: StaticString) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    }

    static func flag(of name: UnsafeRawBufferPointer) -> InodeFlags {
        if compareBytes(name, bytes(capability)) == 0 { return .hasCapability }
        if compareBytes(name, bytes(AccessControlList.accessName)) == 0 { return .hasAccessACL }
        if compareBytes(name, bytes(AccessControlList.defaultName)) == 0 { return .hasDefaultACL }
        return []
    }
}

// MARK: Extended attributes
extension FileSystem {
    /// ERANGE for a name that is empty or longer than 255 bytes.
    private func validateXattr(_ name: UnsafeRawBufferPointer) throws(Errno) {
        if name.isEmpty || name.count > FileLimits.maximumNameBytes { throw .outOfRange }
        if name.contains(0) { throw .invalidArgument }
    }

    /// The value's size in bytes; it is copied into `output` unless that is empty. ENODATA; ERANGE if `output` is too small.
    public func extendedAttribute(
        _ inode: InodeID, _ name: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(Errno) -> Int {
        let id = inode.rawValue
        let flags = try withInode(id) { (_, found) throws(Errno) in found.flags }
        try validateXattr(name)
        let known = KnownXattr.flag(of: name)
        // Asked at every first write of a file: answered without a look at the store.
        guard flags.contains(.hasXattrs), flags.contains(known) else { throw .noData }
        var count = 0
        let isThere = try get(Keys.xattr(id, name)) { value in
            count = value.count
            if count <= output.count { output.copyMemory(from: value) }
        }
        guard isThere else { throw .noData }
        if !output.isEmpty, count > output.count { throw .outOfRange }
        return count
    }

    /// - Parameter clearsSetGroupID: as the kernel's FUSE_SETXATTR_ACL_KILL_SGID asks.
    public func setExtendedAttribute(
        _ inode: InodeID, _ name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, mode: ExtendedAttributeMode,
        clearsSetGroupID: Bool = false
    ) throws(Errno) {
        try requireWritable()
        try validateXattr(name)
        if value.count > FileLimits.maximumXattrValueBytes { throw .argListTooLong }
        let id = inode.rawValue
        try withInode(id) { (stripe, found) throws(Errno) in
            var changed = found
            let isThere = found.flags.contains(.hasXattrs) ? try get(Keys.xattr(id, name), { _ in }) : false
            if isThere, mode == .create { throw .fileExists }
            if !isThere, mode == .replace { throw .noData }
            // Nobody could list them any more.
            if !isThere, found.flags.contains(.hasXattrs),
                try namesSizeBytes(id, includesTrusted: true) + name.count + 1 > FileLimits.maximumXattrListBytes
            {
                throw .noSpace
            }
            stripe.batch.reset()
            stripe.batch.put(Keys.xattr(id, name), value)
            let known = KnownXattr.flag(of: name)
            changed.flags.formUnion([.hasXattrs, known])
            if known == .hasDefaultACL, !found.isDirectory { throw .permissionDenied }
            if known == .hasAccessACL || known == .hasDefaultACL {
                guard let list = AccessControlList(value) else { throw .invalidArgument }
                if known == .hasAccessACL { applyAccessACL(id, list, &changed, found, stripe) }
            }
            if clearsSetGroupID { changed.mode &= ~Mode.setGroupID }
            changed.touch(environment.now())
            try commit(id, changed, stripe)
        }
    }

    /// ENODATA; but an access control list that is not there is removed without complaint, as on other file systems: the mode says all.
    public func removeExtendedAttribute(_ inode: InodeID, _ name: UnsafeRawBufferPointer) throws(Errno) {
        try requireWritable()
        try validateXattr(name)
        let id = inode.rawValue
        try withInode(id) { (stripe, found) throws(Errno) in
            guard found.flags.contains(.hasXattrs), try get(Keys.xattr(id, name), { _ in }) else {
                if !KnownXattr.flag(of: name).isDisjoint(with: [.hasAccessACL, .hasDefaultACL]) { return }
                throw .noData
            }
            var changed = found
            var others = false
            try scan(from: Keys.xattr(id, .init(start: nil, count: 0)), to: Keys.after(.xattr, id)) { record in
                others = compareBytes(record.key.name, name) != 0
                return others ? .stop : .next
            }
            stripe.batch.reset()
            stripe.batch.delete(Keys.xattr(id, name))
            changed.flags.subtract(KnownXattr.flag(of: name))
            if !others { changed.flags.remove(.hasXattrs) }
            changed.touch(environment.now())
            try commit(id, changed, stripe)
        }
    }

    /// The size in bytes of all names, each ended by a NUL; they are copied into `output` unless that is empty. ERANGE if it is
    /// too small, E2BIG if they are more than 64 KiB.
    /// - Parameter includesTrusted: whether those that begin with `trusted.` are among them: only the administrator sees them.
    public func listExtendedAttributes(
        _ inode: InodeID, into output: UnsafeMutableRawBufferPointer, includesTrusted: Bool = true
    ) throws(Errno) -> Int {
        let id = inode.rawValue
        let flags = try withInode(id) { (_, found) throws(Errno) in found.flags }
        guard flags.contains(.hasXattrs) else { return 0 }
        let count = try namesSizeBytes(id, into: output, includesTrusted: includesTrusted)
        if count > FileLimits.maximumXattrListBytes { throw .argListTooLong }
        if !output.isEmpty, count > output.count { throw .outOfRange }
        return count
    }

    /// The size of all names with their NULs; those that fit are copied into `output`.
    private func namesSizeBytes(
        _ id: UInt64, into output: UnsafeMutableRawBufferPointer = .init(start: nil, count: 0), includesTrusted: Bool
    ) throws(Errno) -> Int {
        var count = 0
        try scan(from: Keys.xattr(id, .init(start: nil, count: 0)), to: Keys.after(.xattr, id)) { record in
            if !includesTrusted, record.key.name.starts(with: KnownXattr.trustedPrefix.utf8) { return .next }
            let end = count + record.key.name.count
            if end < output.count {
                UnsafeMutableRawBufferPointer(rebasing: output[count..<end]).copyMemory(from: record.key.name)
                output[end] = 0
            }
            count = end + 1
            return .next
        }
        return count
    }

    /// What gives a program rights does not outlive a change of its content or owner.
    func dropCapability(_ id: UInt64, _ inode: inout Inode, _ batch: RecordBatch) {
        guard inode.flags.contains(.hasCapability) else { return }
        batch.delete(Keys.xattr(id, KnownXattr.bytes(KnownXattr.capability)))
        inode.flags.remove(.hasCapability)
    }
}

// MARK: Access control lists
extension FileSystem {
    /// The list decides the mode's bits; one that says no more than the mode is not kept.
    private func applyAccessACL(_ id: UInt64, _ list: AccessControlList, _ inode: inout Inode, _ old: Inode, _ stripe: Stripe) {
        inode.mode = (inode.mode & ~0o777) | list.modeBits
        guard list.isMinimal else { return }
        stripe.batch.delete(Keys.xattr(id, KnownXattr.bytes(AccessControlList.accessName)))
        inode.flags.remove(.hasAccessACL)
        if !old.flags.contains(.hasXattrs) { inode.flags.remove(.hasXattrs) }
    }

    private func accessControlList(_ id: UInt64, _ name: StaticString) throws(Errno) -> AccessControlList? {
        var list: AccessControlList?
        guard try get(Keys.xattr(id, KnownXattr.bytes(name)), { list = AccessControlList($0) }) else { return nil }
        guard let list else { throw damaged("an access control list cannot be read", id) }
        return list
    }

    /// The mode was changed: so is the list.
    func keepACLInStep(_ id: UInt64, _ inode: Inode, _ stripe: Stripe) throws(Errno) {
        guard var list = try accessControlList(id, AccessControlList.accessName) else { return }
        list.setModeBits(inode.mode)
        stripe.batch.delete(Keys.xattr(id, KnownXattr.bytes(AccessControlList.accessName)))  // it needs no room
        stripe.batch.put(Keys.xattr(id, KnownXattr.bytes(AccessControlList.accessName))) { list.encode(into: &$0) }
    }

    /// A new inode's permissions: from the directory's default list if it has one, else from mode and umask.
    func inheritACL(
        _ id: UInt64, _ inode: inout Inode, _ directory: UInt64, _ parent: Inode, _ caller: Caller, _ batch: RecordBatch
    ) throws(Errno) {
        guard parent.flags.contains(.hasDefaultACL), var list = try accessControlList(directory, AccessControlList.defaultName) else {
            inode.mode &= ~(caller.umask & 0o777)
            return
        }
        if inode.isDirectory {
            batch.put(Keys.xattr(id, KnownXattr.bytes(AccessControlList.defaultName))) { list.encode(into: &$0) }
            inode.flags.formUnion([.hasXattrs, .hasDefaultACL])
        }
        list.restrict(to: inode.mode)
        inode.mode = (inode.mode & ~0o777) | list.modeBits
        guard !list.isMinimal else { return }
        batch.put(Keys.xattr(id, KnownXattr.bytes(AccessControlList.accessName))) { list.encode(into: &$0) }
        inode.flags.formUnion([.hasXattrs, .hasAccessACL])
    }
}
