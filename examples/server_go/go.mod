module example.com/my-extension

go 1.21
