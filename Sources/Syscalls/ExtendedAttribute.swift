import CSyscalls

/// getxattr(2): the value of an extended attribute, nil if it cannot be had or is longer than `limitBytes`.
public func extendedAttribute(_ name: String, of path: String, limitBytes: Int) -> [UInt8]? {
    var value = [UInt8](repeating: 0, count: limitBytes)
    let count = value.withUnsafeMutableBytes { efs_getxattr(path, name, $0.baseAddress, UInt($0.count)) }
    return count < 0 ? nil : Array(value[..<count])
}
