print("efs")
